"""Rules of stories: somebody, a place, a thing, perhaps a friend, something that happens, and how it feels."""

from __future__ import annotations

from .scenes import PLACE, TURN, Rows, even, thing
from .words import MOODS

SIGNS: dict[str, tuple[str, ...]] = {
    "happy": (
        "{who} laughed out loud.",
        "{She:who} jumped up and down and clapped.",
        "{who} could not stop smiling.",
        "{She:who} sang all the way home.",
        "{She:who} hugged everybody who came by.",
        "{Her:who} eyes shone and {her:who} feet danced.",
    ),
    "sad": (
        "{who} cried for a long time.",
        "{She:who} looked down and said nothing.",
        "A tear ran down {her:who} face.",
        "{She:who} went home with slow steps.",
        "{who} did not want to eat or to play.",
        "{She:who} sighed and hid {her:who} face.",
    ),
    "angry": (
        "{who} stamped on the ground.",
        "{She:who} shouted and made a fist.",
        "{Her:who} face turned hot and red with rage.",
        "{She:who} slammed the door.",
        "{who} would not speak to anybody.",
        "{She:who} threw a stone as far as {she:who} could.",
    ),
    "scared": (
        "{who} trembled and held {her:who} breath.",
        "{She:who} ran and did not look back.",
        "{Her:who} heart beat fast.",
        "{She:who} hid behind a rock.",
        "{who} called for help.",
        "{She:who} did not dare to move.",
    ),
    "calm": (
        "{who} breathed slowly in and out.",
        "{She:who} closed {her:who} eyes and rested.",
        "{She:who} sat for a while and watched the sky.",
        "{who} had all the time in the world.",
        "{She:who} hummed a slow and gentle tune.",
        "{who} leaned back and let the hours pass.",
    ),
}
EVENTS: dict[str, tuple[str, ...]] = {
    "happy": (
        "The {noun1} was just what {she:who} had wished for.",
        "{She:who} played with the {noun1} until it was late.",
        "Everybody came to see the {noun1} and to cheer.",
        "At last the {noun1} was {her:who} own.",
    ),
    "sad": (
        "But the wind carried the {noun1} away.",
        "But the {noun1} broke in two.",
        "But the {noun1} was lost before the evening.",
        "But nobody wanted to look at the {noun1}.",
    ),
    "angry": (
        "But somebody had kicked the {noun1} on purpose.",
        "But a thief took the {noun1} and laughed.",
        "But somebody had drawn on the {noun1} again.",
        "But they told lies about the {noun1}.",
    ),
    "scared": (
        "Then a loud noise came from behind the {noun1}.",
        "Then something big moved near the {noun1}.",
        "Then it grew dark and the {noun1} began to shake.",
        "Then the {noun1} spoke with a deep voice.",
    ),
    "calm": (
        "{She:who} sat down by the {noun1} and listened.",
        "Nothing else happened, and the {noun1} stood still.",
        "A mild light lay on the {noun1}.",
        "There was no hurry, and the {noun1} was safe.",
    ),
}
TOGETHER: dict[str, tuple[str, ...]] = {
    "happy": (
        "They shared the {noun1} and the {noun2}.",
        "{who2} gave the {noun2} to {who} as a present.",
        "They played with the {noun1} and the {noun2} until it was late.",
    ),
    "sad": (
        "But {who2} had to leave and took the {noun2} along.",
        "But {who2} did not know {who} any more.",
        "But soon both the {noun1} and the {noun2} were gone.",
    ),
    "angry": (
        "But {who2} took the {noun1} without asking.",
        "But {who2} broke the {noun1} and laughed about it.",
        "But {who2} said that the {noun1} was ugly.",
    ),
    "scared": (
        "Then something growled behind the {noun2}, and {who2} ran away.",
        "Then the ground shook, and the {noun2} fell over.",
        "Then {who2} whispered that something was in the {noun1}.",
    ),
    "calm": (
        "They sat side by side and watched the {noun1}.",
        "They put the {noun2} down and rested.",
        "{who2} was quiet, and the {noun2} stood beside the {noun1}.",
    ),
}
ENDS: dict[str, tuple[str, ...]] = {
    "happy": (
        "It was the best day of the year.",
        "What a wonderful day it was!",
        "That night {she:who} dreamed of more.",
    ),
    "sad": ("It was a long way home.", "Perhaps tomorrow will be better.", "That night the house was very quiet."),
    "angry": ("It took a long time to forgive.", "That was not fair at all!", "Nobody said sorry that day."),
    "scared": (
        "Only at home did it feel safe again.",
        "Nobody went there again for a long time.",
        "What could it have been?",
    ),
    "calm": ("It was a day like a soft blanket.", "So the day went by.", "There was nothing more to wish for."),
}


def story_rules() -> dict[str, Rows]:
    """`story.alone` and `story.friend`, and `ask.alone` and `ask.friend` about them."""
    rules: dict[str, Rows] = {
        "Open": even(
            f"One {{time}}, {{who}} went for a walk {PLACE}.",
            f"{{who}} was {PLACE} one {{time}}.",
            f"Once there was somebody called {{who}}, who lived {PLACE}.",
            f"It was a quiet {{time}} {PLACE}, and {{who}} was on the way.",
            "{Place:setting} lived somebody called {who}.",
        ),
        "Find": even(
            f"{{She:who}} found {thing(1)}.",
            f"There {{she:who}} saw {thing(1)}.",
            f"{{who}} came upon {thing(1)}.",
            f"Right there stood {thing(1)}.",
            f"{{She:who}} had always wanted {thing(1)}, and there it was.",
        ),
        "Friend": even(
            f"{{who2}} came by with {thing(2)}.",
            f"Soon {{who2}} came along and brought {thing(2)}.",
            f"Then {{who2}} arrived and had {thing(2)}.",
            f"{{Her:who}} friend {{who2}} had {thing(2)}.",
        ),
        "State": even("{who} was {mood}.", "It made {who} {mood}.", "{who} felt {mood}.", "How {mood} {she:who} was!"),
        "feel": [(2, "<State>"), (1, "<State> <Sign@mood>"), (1, "<Sign@mood> <State>")],
        "end": [(2, ""), (3, " <End@mood>")],
        "story.alone": even("<Open> <Find> <Event@mood> <feel><end>"),
        "story.friend": even("<Open> <Find> <Friend> <Together@mood> <feel><end>"),
        "story": even("<story.alone>", "<story.friend>"),
        "Ask.found": even("What did {who} find?", "What did {who} see?"),
        "Tell.found": even(f"{{who}} saw {thing(1)}.", f"It was {thing(1)}.", f"{{She:who}} saw {thing(1)}."),
        "qa.found": even(f"<Ask.found>{TURN}<Tell.found>"),
        "Ask.story_where": even("Where was {who}?", "Where does the story happen?"),
        "Tell.story_where": even(f"{{who}} was {PLACE}.", f"It happens {PLACE}."),
        "qa.story_where": even(f"<Ask.story_where>{TURN}<Tell.story_where>"),
        "Ask.story_mood": even("How did {who} feel?", "How was {who} in the end?"),
        "Tell.story_mood": even("{who} was {mood}.", "{who} felt {mood}.", "{She:who} was {mood}."),
        "qa.story_mood": even(f"<Ask.story_mood>{TURN}<Tell.story_mood>"),
        "Ask.friend": even("Who came along?", "Who else is in the story?", "Who had the {noun2}?"),
        "Tell.friend": even("It was {who2}.", "{who2} did."),
        "qa.friend": even(f"<Ask.friend>{TURN}<Tell.friend>"),
        "Ask.past_colour1": even("What colour was the {noun1}?"),
        "Tell.past_colour1": even("The {noun1} was {colour1}.", "It was {colour1}."),
        "qa.past_colour1": even(f"<Ask.past_colour1>{TURN}<Tell.past_colour1>"),
        "Ask.past_colour2": even("What colour was the {noun2}?"),
        "Tell.past_colour2": even("The {noun2} was {colour2}.", "It was {colour2}."),
        "qa.past_colour2": even(f"<Ask.past_colour2>{TURN}<Tell.past_colour2>"),
    }
    shared = ("<qa.found>", "<qa.story_where>", "<qa.story_mood>", "<qa.past_colour1>")
    rules["ask.alone"] = even(*shared)
    rules["ask.friend"] = even(*shared, "<qa.friend>", "<qa.past_colour2>")
    for mood in MOODS:
        rules[f"Sign.{mood}"] = even(*SIGNS[mood])
        rules[f"Event.{mood}"] = even(*EVENTS[mood])
        rules[f"Together.{mood}"] = even(*TOGETHER[mood])
        rules[f"End.{mood}"] = even(*ENDS[mood])
    return rules
