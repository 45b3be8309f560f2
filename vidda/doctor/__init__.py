"""`vidda doctor`: whether each part of this installation works, found out by using it."""

from vidda.doctor.job import DoctorConfig, run

__all__ = ["DoctorConfig", "run"]
