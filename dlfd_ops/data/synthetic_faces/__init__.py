"""Pictures of people who do not exist: drawn from numbers, with numpy and Pillow only.

``person`` says what all photos of somebody share, ``photo`` what changes from one to the next, ``head`` is the
geometry and the light, ``canvas`` the brush, ``features`` paints the face, and ``drawing`` puts a picture together::

    person = draw_person(rng, age=42, feminine=0.8)
    photo = draw_photo(rng, person, EXPRESSIONS["happiness"])
    pixels = render(person, photo)  # (64, 64, 3) uint8
"""

from dlfd_ops.data.synthetic_faces.drawing import render
from dlfd_ops.data.synthetic_faces.person import Person, draw_person
from dlfd_ops.data.synthetic_faces.photo import EXPRESSIONS, Expression, Photo, draw_photo

__all__ = ["EXPRESSIONS", "Expression", "Person", "Photo", "draw_person", "draw_photo", "render"]
