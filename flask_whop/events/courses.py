"""Courses: what students do in them."""

from __future__ import annotations

from typing import Literal

from flask_whop.events.envelope import Event
from flask_whop.events.payload import Reference
from flask_whop.events.references import User
from flask_whop.events.resource import Resource
from flask_whop.events.times import Timestamp


class Course(Resource):
    """A course."""

    title: str | None = None
    experience: Reference | None = None
    experience_id: str | None = None


class Lesson(Resource):
    """A lesson of a course."""

    title: str | None = None
    chapter: Reference | None = None
    chapter_id: str | None = None


class CourseLessonInteraction(Resource):
    """A student's progress in one lesson."""

    course: Course | None = None
    course_id: str | None = None
    lesson: Lesson | None = None
    lesson_id: str | None = None
    user: User | None = None
    user_id: str | None = None
    completed: bool | None = None
    created_at: Timestamp | None = None


class CourseLessonInteractionCompleted(Event[Literal["course_lesson_interaction.completed"], CourseLessonInteraction]):
    """A student finished a lesson."""
