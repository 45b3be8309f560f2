"use strict";
for (const table of document.querySelectorAll("table.sort")) {
  const heads = [...table.querySelectorAll("thead th")];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const body = table.tBodies[0];
      const rows = [...body.rows];
      const value = (row) => row.cells[column].dataset.v ?? row.cells[column].textContent.trim();
      const number = (row) => (value(row) === "" ? NaN : Number(value(row)));
      const known = rows.filter((row) => value(row) !== "" && value(row) !== "-");
      const numeric = known.length > 0 && known.every((row) => !Number.isNaN(number(row)));
      const now = head.getAttribute("aria-sort");
      const down = now === null ? numeric : now === "ascending";
      const sign = down ? -1 : 1;
      // Rows without a value stay at the end in both directions.
      const compare = (a, b) => numeric
        ? (Number.isNaN(number(a)) - Number.isNaN(number(b))) || sign * (number(a) - number(b))
        : sign * value(a).localeCompare(value(b), undefined, { numeric: true });
      body.append(...rows.sort((a, b) => compare(a, b) || 0));
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
    });
  });
}

const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)").matches;
for (const clip of document.querySelectorAll(".clip")) {
  const videos = [...clip.querySelectorAll("video")];
  if (!videos.length) continue;
  const bar = clip.querySelector(".transport");
  const [button, slider] = bar.children;
  let playing = false;
  bar.hidden = false;
  const end = () => Math.min(...videos.map((video) => video.duration || Infinity));
  const seek = (time) => videos.forEach((video) => { video.currentTime = time; });
  const tick = () => {
    if (!playing) return;
    const [first, ...others] = videos;
    if (first.ended || first.currentTime >= end() - 0.01) {
      seek(0);
      videos.forEach((video) => video.play());
    }
    for (const other of others) {
      if (Math.abs(other.currentTime - first.currentTime) > 0.12 && !other.seeking) {
        other.currentTime = first.currentTime;
      }
    }
    slider.value = first.currentTime / end();
    requestAnimationFrame(tick);
  };
  const play = (wanted) => {
    if (playing === wanted) return;
    playing = wanted;
    button.textContent = wanted ? "Pause" : "Play";
    videos.forEach((video) => (wanted ? video.play().catch(() => {}) : video.pause()));
    if (wanted) tick();
  };
  button.addEventListener("click", () => { clip.dataset.chosen = "1"; play(!playing); });
  slider.addEventListener("input", () => { play(false); seek(slider.value * end()); });
  // Only visible clips play, until the reader plays or stops one by its button.
  new IntersectionObserver((entries) => {
    if (!reducedMotion && !clip.dataset.chosen) play(entries[0].isIntersecting);
  }, { threshold: 0.3 }).observe(clip);
}
