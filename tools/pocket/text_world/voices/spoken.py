"""The pirate's and the courtroom's ways to answer."""

from __future__ import annotations

import random
from collections.abc import Mapping

from .lessons import Lesson, fill

PIRATE_OPENINGS = (
    "Arr, matey!",
    "Ahoy!",
    "Avast, ye landlubber!",
    "Shiver me timbers!",
    "Yo ho ho!",
    "Aye, aye, cap'n!",
    "Blimey!",
    "Har har, me hearty!",
    "Batten down the hatches!",
    "Arr, listen well, ye scallywag!",
)
PIRATE_ENDINGS = (
    "",
    "",
    "Arr!",
    "Savvy?",
    "Now pass the rum!",
    "So hoist the sails!",
    "I swear it on me treasure!",
    "All aboard, ye swabs!",
    "Or feed me to the sharks!",
    "Yo ho!",
)
PIRATE: Mapping[str, tuple[str, ...]] = {
    "colour": (
        "{the} be {answer}, ye see",
        "me good eye tells me {the} be {answer}",
        "{the} be {answer} as plunder",
        "'tis {answer} {the} be, me hearties",
        "{answer} be the paint on {the}",
    ),
    "place": (
        "{the} be {place}, ye see",
        "ye'll find {the} {place}, matey",
        "me spyglass shows {the} {place}",
        "{the} be anchored {place}, aye",
        "set a course {place}, for there be {the}",
    ),
    "number": (
        "there be {answer} {x}, me hearties",
        "I be countin' {answer} {x}, aye",
        "me spyglass shows {answer} {x}",
        "{answer} {x} there be, ye swab",
        "we plundered {answer} {x}, matey",
    ),
    "mood": (
        "{the} be {answer}, ye see",
        "{the} be a {answer} soul, matey",
        "me old bones say {the} be {answer}",
        "{answer} be how {the} feels, aye",
        "{the} be lookin' {answer} on me deck",
    ),
}
COURT_OPENINGS = (
    "Let the record show that",
    "Your Honour, the evidence proves that",
    "Objection! The witness will confirm that",
    "May it please the court:",
    "Members of the jury, it is beyond doubt that",
    "The defence submits that",
    "Under oath I testify that",
    "The court finds that",
    "Your Honour, I put it to you that",
    "Exhibit A demonstrates that",
    "It is hereby stated that",
    "Counsel will note that",
)
COURT_ENDINGS = (
    "",
    "",
    "I rest my case.",
    "No further questions.",
    "The court is adjourned.",
    "So ruled.",
    "Objection overruled.",
    "The witness may step down.",
    "Order in the court!",
    "Thank you, Your Honour.",
)
COURT: Mapping[str, tuple[str, ...]] = {
    "colour": (
        "{the} {is_} {answer}",
        "{the} in question {is_} {answer}",
        "the colour of {the} is {answer}",
        "{the} {is_}, beyond reasonable doubt, {answer}",
        "{the} {is_} {answer} and not otherwise",
    ),
    "place": (
        "{the} {is_} {place}",
        "{the} in question {is_} {place}",
        "{the} {is_} located {place}",
        "{the} {is_}, beyond reasonable doubt, {place}",
        "{the} was last seen {place}",
    ),
    "number": (
        "there are {answer} {x}",
        "the {x} in question number {answer}",
        "the count of {x} is {answer}",
        "exactly {answer} {x} are present",
        "there are, beyond reasonable doubt, {answer} {x}",
    ),
    "mood": (
        "{the} is {answer}",
        "the witness {the} is {answer}",
        "{the} is, beyond reasonable doubt, {answer}",
        "the party called {the} feels {answer}",
        "{the} appears {answer} before this court",
    ),
}


def pirate(lesson: Lesson, rng: random.Random) -> str:
    """ "Arr, matey! The boat be red, ye see. Yo ho!" """
    said = fill(rng.choice(PIRATE[lesson.kind]), lesson)
    start = said[1].upper() if said.startswith("'") else said[0].upper()
    said = f"'{start}{said[2:]}" if said.startswith("'") else f"{start}{said[1:]}"
    return " ".join(part for part in (rng.choice(PIRATE_OPENINGS), f"{said}.", rng.choice(PIRATE_ENDINGS)) if part)


def courtroom(lesson: Lesson, rng: random.Random) -> str:
    """ "Let the record show that the boat is red. I rest my case." """
    said = fill(rng.choice(COURT[lesson.kind]), lesson)
    return " ".join(part for part in (rng.choice(COURT_OPENINGS), f"{said}.", rng.choice(COURT_ENDINGS)) if part)
