"""Rules of scenes: what is where, and the questions that can be asked about it.

Rules with a capital are sentences; the others put sentences together.
"""

from __future__ import annotations

from .variables import THINGS

Rows = list[tuple[float, str]]
END, USER, ASSISTANT = "<|end|>", "<|user|>", "<|assistant|>"
TURN = f"{END}{ASSISTANT}"
PLACE = "{place:setting}"


def thing(number: int) -> str:
    """The template "a small red boat"."""
    return f"{{sized:size{number},colour{number}}} {{noun{number}}}"


def Thing(number: int) -> str:
    """The template "A small red boat"."""
    return f"{{Sized:size{number},colour{number}}} {{noun{number}}}"


def even(*templates: str) -> Rows:
    """Alternatives of one weight."""
    return [(1.0, template) for template in templates]


def scene_rules() -> dict[str, Rows]:
    """`scene.one`, `scene.two` … and the sentences in them."""
    one, two, three = (thing(number) for number in THINGS)
    return {
        "Sky": even("{sky}."),
        "sky": [(3, ""), (1, " <Sky>")],
        "scene.one": even("<One><sky>"),
        "One": even(
            f"There is {one} {PLACE}.",
            f"{Thing(1)} is {PLACE}.",
            f"{{Place:setting}} there is {one}.",
            f"{Thing(1)} waits {PLACE}.",
            f"You can see {one} {PLACE}.",
        ),
        "scene.two": [(3, "<Two><sky>"), (2, "<One> <Beside><sky>")],
        "Two": even(
            f"There is {one} and {two} {PLACE}.",
            f"{Thing(1)} and {two} are {PLACE}.",
            f"{{Place:setting}} there is {one} and {two}.",
            f"{Thing(1)} is {PLACE}, {{relation}} {two}.",
        ),
        "Beside": even(
            f"There is also {two}.",
            f"Next to it is {two}.",
            f"Behind it there is {two}.",
            f"{Thing(2)} is near it.",
        ),
        "scene.three": [(1, "<Three>"), (1, "<Two> <Beyond>")],
        "Three": even(
            f"There is {one}, {two} and {three} {PLACE}.",
            f"{Thing(1)}, {two} and {three} are {PLACE}.",
        ),
        "Beyond": even(f"Far away there is {three}.", f"There is {three}, too.", f"{Thing(3)} is not far away."),
        "scene.group": even("<Group><sky>"),
        "Group": even(
            f"There are {{number}} {{size1}}{{colour1}} {{plural:noun1}} {PLACE}.",
            f"{{cap:number}} {{size1}}{{colour1}} {{plural:noun1}} are {PLACE}.",
            "{Place:setting} there are {number} {size1}{colour1} {plural:noun1}.",
            f"You can see {{number}} {{size1}}{{colour1}} {{plural:noun1}} {PLACE}.",
        ),
        "scene.person": even("<Person><sky> <Feeling>", "<Person> <Holding> <Feeling>"),
        "Person": even(
            f"{{who}} is {PLACE} with {one}.",
            f"{{who}} stands {PLACE} and looks at {one}.",
            f"{{Place:setting}} {{who}} has found {one}.",
            f"{{who}} has {one} {PLACE}.",
        ),
        "Holding": even(
            "{She:who} cleans the {noun1}.",
            "{She:who} talks about the {noun1}.",
            "{She:who} shows the {noun1} to everybody.",
            "{Her:who} friends know the {noun1} well.",
        ),
        "Feeling": even("{who} is {mood}.", "{She:who} feels {mood} today.", "{She:who} is {mood} this {time}."),
        "scene.pair": even("<Pair><sky>", "<Owner> <Other>"),
        "Pair": even(
            f"{{who}} has {one} and {{who2}} has {two} {PLACE}.",
            f"{{Place:setting}} {{who}} carries {one}, and {{who2}} carries {two}.",
        ),
        "Owner": even(f"{{who}} is {PLACE} with {one}.", f"{{who}} has {one} {PLACE}."),
        "Other": even(f"{{who2}} has {two}.", f"{{who2}} is there, too, with {two}.", f"{{who2}} brings {two}."),
    }


def question_rules() -> dict[str, Rows]:
    """`ask.<scene>`: one question about such a scene with its answer; `Ask.…` and `Tell.…` are their sentences."""
    rules: dict[str, Rows] = {}

    def add(name: str, asked: Rows, told: Rows) -> None:
        rules[f"Ask.{name}"], rules[f"Tell.{name}"] = asked, told
        rules[f"qa.{name}"] = [(1, f"<Ask.{name}>{TURN}<Tell.{name}>")]

    for n in THINGS:
        noun, colour = f"{{noun{n}}}", f"{{colour{n}}}"
        add(
            f"colour{n}",
            even(f"What colour is the {noun}?", f"Tell me the colour of the {noun}.", f"Which colour has the {noun}?"),
            [
                (9, f"The {noun} is {colour}."),
                (3, f"It is {colour}."),
                (3, f"It is {{a:colour{n}}} {noun}."),
                (1, f"{{cap:colour{n}}}."),
                (1, f"I see {{a:colour{n}}} {noun}."),
                (1, f"I think the {noun} is {colour}."),
                (1, f"The colour of the {noun} is {colour}."),
                (1, f"{{cap:colour{n}}} is the colour of the {noun}."),
            ],
        )
        add(f"size{n}", even(f"How big is the {noun}?"), even(f"The {noun} is {{how_big:size{n}}}."))
        add(f"true{n}", even(f"Is the {noun} {colour}?"), even(f"Yes, the {noun} is {colour}.", "Yes, it is."))
        add(
            f"false{n}",
            even(f"Is the {noun} {{other_colour}}?"),
            even(f"No, the {noun} is {colour}.", f"No, it is {colour}, not {{other_colour}}."),
        )
        add(
            f"where{n}",
            even(f"Where is the {noun}?", f"Where can I find the {noun}?", f"Tell me where the {noun} is."),
            [
                (9, f"The {noun} is {PLACE}."),
                (3, f"It is {PLACE}."),
                (3, f"You can find it {PLACE}."),
                (1, "{Place:setting}."),
                (1, f"Look for the {noun} {PLACE}."),
                (1, f"I think the {noun} is {PLACE}."),
                (1, f"{{Place:setting}} you can see the {noun}."),
            ],
        )
    add(
        "absent",
        even("What colour is the {other_noun}?", "Where is the {other_noun}?"),
        even("There is no {other_noun}."),
    )
    add(
        "besides",
        even("What is there besides the {noun1}?", "What else is there?"),
        even(f"There is {thing(2)}.", f"There is also {thing(2)}."),
    )
    add(
        "number",
        even("How many {plural:noun1} are there?", "Count the {plural:noun1}."),
        [
            (6, "There are {number} {plural:noun1}."),
            (6, "I count {number} {plural:noun1}."),
            (1, "{cap:number}."),
            (1, "{cap:number} {plural:noun1} are there."),
            (1, "I think there are {number} {plural:noun1}."),
            (1, "The number of {plural:noun1} is {number}."),
        ],
    )
    add(
        "many_colour",
        even("What colour are the {plural:noun1}?"),
        even("The {plural:noun1} are {colour1}.", "They are {colour1}."),
    )
    add(
        "many_where",
        even("Where are the {plural:noun1}?"),
        even(f"The {{plural:noun1}} are {PLACE}.", f"They are {PLACE}."),
    )
    add("things_one", even("How many things are there?"), even("There is one thing."))
    add("things_two", even("How many things are there?"), even("There are two things."))
    add("things_three", even("How many things are there?"), even("There are three things."))
    add(
        "mood",
        even("How does {who} feel?", "How is {who}?"),
        [
            (6, "{who} is {mood}."),
            (3, "{who} feels {mood}."),
            (3, "{She:who} is {mood}."),
            (1, "{cap:mood}."),
            (1, "I think {who} is {mood}."),
            (1, "{cap:mood} is how {who} feels."),
            (1, "{who} seems to be {mood}."),
        ],
    )
    add("who", even("Who is there?"), even("{who} is there."))
    add("has1", even("What does {who} have?"), even(f"{{who}} has {thing(1)}.", f"{{She:who}} has {thing(1)}."))
    add("has2", even("What does {who2} have?"), even(f"{{who2}} has {thing(2)}.", f"{{She:who2}} has {thing(2)}."))
    add(
        "owner1",
        even("Who has the {noun1}?", "Whose is the {colour1} {noun1}?"),
        even("{who} has it.", "{who} has the {noun1}."),
    )
    add(
        "owner2",
        even("Who has the {noun2}?", "Whose is the {colour2} {noun2}?"),
        even("{who2} has it.", "{who2} has the {noun2}."),
    )
    add("who_two", even("Who is there?"), even("{who} and {who2} are there."))
    about = {n: [f"colour{n}", f"colour{n}", f"size{n}", f"true{n}", f"false{n}", f"where{n}"] for n in THINGS}
    rules["ask.one"] = _choice(*about[1], "absent", "things_one")
    rules["ask.two"] = _choice(*about[1], *about[2], "besides", "absent", "things_two")
    rules["ask.three"] = _choice(*about[1], *about[2], *about[3], "absent", "things_three")
    rules["ask.group"] = _choice("number", "number", "number", "many_colour", "many_where", "absent")
    rules["ask.person"] = _choice("mood", "mood", "who", "has1", *about[1], "absent")
    rules["ask.pair"] = _choice("owner1", "owner2", "has1", "has2", "who_two", "colour1", "colour2", "absent")
    return rules


def _choice(*names: str) -> Rows:
    return even(*(f"<qa.{name}>" for name in names))


def instruction_rules() -> dict[str, Rows]:
    """`do.<scene>`: one instruction about such a scene with what is done."""
    lists = {"one": 1, "two": 2, "three": 3}
    rules: dict[str, Rows] = {
        "Order.list": even("List the things.", "Make a list of the things."),
        "Order.colours": even("Name the colours.", "Which colours are there?"),
        "Order.count": even("Count the things.", "Count all things."),
        "Order.short": even("Say it in a few words.", "Make it short."),
        "Order.paint1": even("Make the {noun1} {other_colour}.", "Paint the {noun1} {other_colour}."),
        "Order.paint2": even("Make the {noun2} {other_colour}.", "Paint the {noun2} {other_colour}."),
        "Painted.one": even(f"There is {{sized:size1,other_colour}} {{noun1}} {PLACE}."),
        "Painted.two1": even(f"There is {{sized:size1,other_colour}} {{noun1}} and {thing(2)} {PLACE}."),
        "Painted.two2": even(f"There is {thing(1)} and {{sized:size2,other_colour}} {{noun2}} {PLACE}."),
        "Colours.one": even("{cap:colour1}."),
        "Colours.two": even("{cap:colour1} and {colour2}."),
        "Colours.three": even("{cap:colour1}, {colour2} and {colour3}."),
        "Count.one": even(f"One thing: {thing(1)}."),
        "Count.two": even(f"Two things: {thing(1)} and {thing(2)}."),
        "Count.three": even(f"Three things: {thing(1)}, {thing(2)} and {thing(3)}."),
        "Short.one": even(f"{Thing(1)} {PLACE}."),
        "Short.two": even(f"{Thing(1)} and {thing(2)} {PLACE}."),
        "Short.three": even("Three things {place:setting}."),
    }
    for name, count in lists.items():
        rules[f"list.{name}"] = even("\n".join(f"<Item.{n}>" for n in range(1, count + 1)))
        rules[f"do.{name}"] = even(
            f"<Order.list>{TURN}<list.{name}>",
            *(f"<Order.{order.lower()}>{TURN}<{order}.{name}>" for order in ("Colours", "Count", "Short")),
        )
    for number in THINGS:
        rules[f"Item.{number}"] = even(f"- {thing(number)}")
    rules["do.one"] += even(f"<Order.paint1>{TURN}<Painted.one>")
    rules["do.two"] += even(*(f"<Order.paint{n}>{TURN}<Painted.two{n}>" for n in (1, 2)))
    return rules
