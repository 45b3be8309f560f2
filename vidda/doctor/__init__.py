"""`vidda doctor`: checks of each part of this installation, made by using it."""

from vidda.doctor.job import DoctorConfig, run

__all__ = ["DoctorConfig", "run"]
