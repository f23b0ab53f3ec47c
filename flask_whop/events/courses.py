"""Courses: what students do in them."""

from __future__ import annotations

from typing import Literal

from flask_whop.events.envelope import Event
from flask_whop.events.payload import Resource

__all__ = [
    "CourseLessonInteraction",
    "CourseLessonInteractionCompleted",
]


class CourseLessonInteraction(Resource):
    """A student's progress in one lesson."""


class CourseLessonInteractionCompleted(Event[Literal["course_lesson_interaction.completed"], CourseLessonInteraction]):
    """A student finished a lesson."""
