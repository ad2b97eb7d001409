"""The sentences of the demo corpus: templates around a mention (`{}`), filler, and the layouts of a note.

All of it is invented; `<low-high>` is a number drawn anew each time. Filler says nothing about any code of the corpus,
though it often sounds as if it did ("denies chest pain").
"""

from __future__ import annotations

from dataclasses import dataclass


TOLD = (
    "Reports {}.",
    "Describes {}.",
    "Now with {}.",
    "Also has {}.",
    "Family noticed {}.",
    "On arrival had {}.",
    "Mentions {}.",
)
PLAN_ACUTE = (
    "Treated for {}.",
    "Impression: {}.",
    "Admitted with {}.",
    "Findings fit {}.",
    "Workup confirmed {}.",
    "{} improving on therapy.",
    "Course complicated by {}.",
    "Diagnosed with {} on day <1-4>.",
    "{}: continue present treatment.",
    "Not yet over {}, recheck in two days.",
    "{} could not be ruled out at first and was then proven.",
)
PLAN_CHRONIC = (
    "{}: stable, same regimen.",
    "Continue treatment for {}.",
    "{}, followed by the specialist clinic.",
    "{}: not at goal, doses raised.",
    "Known {}, unchanged.",
    "Longstanding {}.",
    "History of {}, still under treatment.",
    "No change in {} since the last visit.",
    "{} without complaints today.",
)
# the order says which slot takes the condition that is there (0) and which the excluded one (1)
RATHER_THAN = (
    ("{} rather than {}.", (0, 1)),
    ("{} was excluded; the picture was that of {}.", (1, 0)),
    ("First thought to be {}, in the end {}.", (1, 0)),
    ("Positive for {}, negative for {}.", (0, 1)),
)
NEGATED = (
    "No evidence of {}.",
    "{} was ruled out.",
    "Negative for {}.",
    "No history of {}.",
    "Denies {}.",
    "Workup for {} was unrevealing.",
    "{} thought unlikely.",
    "No findings of {} on imaging.",
    "First labelled {}, which later results excluded.",
    "Not known to have {}.",
    "Admitted to rule out {}; tests normal.",
    "Treated for {} until results came back clean.",
    "Never had {}.",
    "Neither {} nor {} found.",
    "Denies {} and {}.",
    "No {}, no {}.",
    "Considered {} and {}; neither confirmed.",
)
FAMILY = (
    "Mother with {}.",
    "Father had {} in his sixties.",
    "Brother treated for {}.",
    "Two aunts with {}.",
    "Family history of {}.",
    "Family history positive for {} and {}.",
    "Sister has {}; the patient does not.",
    "Maternal grandmother: {}, {}.",
    "Son was recently diagnosed with {}.",
)
SCREENING = (
    "Screening for {} planned.",
    "Due for {} screening.",
    "Counselled on the risk of {}.",
    "Will test for {} at the annual visit.",
    "Handout about {} given.",
    "Worried about {}; reassured.",
)

COMPLAINTS = (
    "a routine visit",
    "follow-up",
    "feeling unwell",
    "fatigue for <2-9> days",
    "shortness of breath",
    "chest discomfort",
    "belly pain",
    "dizziness",
    "a fall at home",
    "cough",
    "weakness",
    "nausea and vomiting",
    "a medication review",
    "an annual check",
    "leg pain",
    "confusion per the family",
)

FILLERS: dict[str, tuple[str, ...]] = {
    "opening": (),
    "history": (
        "Denies chest pain or palpitations.",
        "No fever, chills or night sweats.",
        "Symptoms began <2-9> days ago and came on slowly.",
        "No recent travel or sick contacts.",
        "Appetite has been fair and weight steady.",
        "Sleeps about <4-8> hours a night.",
        "Was seen at an outside clinic and sent home.",
        "No falls since the last visit.",
        "Brought in by a neighbor who found the patient tired.",
        "Took over-the-counter remedies without much relief.",
        "Denies blood in stool or urine.",
        "No new rash, no joint swelling.",
        "The patient is a fair historian; records were requested.",
    ),
    "family": (
        "Family history otherwise noncontributory.",
        "Parents lived past eighty.",
        "Two healthy children.",
    ),
    "social": (
        "Lives with spouse in a second-floor apartment.",
        "Taught school for years.",
        "Works part time in a bakery.",
        "Drives and manages own affairs.",
        "Has a dog and two cats.",
        "No recreational drugs.",
        "Walks with a cane outdoors.",
        "Immunizations up to date by report.",
        "Has a visiting nurse twice a week.",
        "Enjoys gardening and the church choir.",
    ),
    "exam": (
        "Alert and oriented, in no distress.",
        "Lungs clear to auscultation on both sides.",
        "Heart sounds regular without murmur.",
        "Abdomen soft and nontender, bowel sounds present.",
        "No leg swelling, pulses palpable.",
        "Moves all extremities, gait steady.",
        "Skin warm and dry.",
        "Neck supple, no enlarged nodes.",
        "Pupils equal and reactive.",
        "Mucous membranes moist.",
        "Cranial nerves intact.",
        "Speech fluent, mood appropriate.",
        "No tenderness over the spine.",
    ),
    "plan": (
        "Return if symptoms worsen.",
        "Follow up with primary care in <1-6> weeks.",
        "Discussed the plan with patient and family, who agree.",
        "Medication list was reviewed and reconciled.",
        "Repeat blood work in <2-4> weeks.",
        "Physical therapy evaluated and cleared for home.",
        "Diet and exercise advice given.",
        "Full code per discussion.",
        "Flu shot offered and accepted.",
        "Discharged home in stable condition.",
        "Records sent to the referring office.",
        "Nurse will call with the results.",
        "Time spent <15-45> minutes.",
    ),
}

# filler left out of notes with these codes
FILLER_CONTRADICTS = {
    "Denies chest pain or palpitations.": ("I21.4", "I48.91"),
    "No fever, chills or night sweats.": ("A41.9", "J18.9", "U07.1", "A15.0"),
    "Sleeps about <4-8> hours a night.": ("G47.33",),
    "Denies blood in stool or urine.": ("K92.2",),
    "No new rash, no joint swelling.": ("M06.9", "M10.9", "B02.9", "L40.9"),
    "Drives and manages own affairs.": ("F03.90", "G40.909"),
    "Alert and oriented, in no distress.": ("F03.90", "J96.01"),
    "Lungs clear to auscultation on both sides.": ("J18.9", "J44.1", "J84.10", "J96.01", "I50.9", "I11.0"),
    "Heart sounds regular without murmur.": ("I48.91", "I35.0"),
    "Abdomen soft and nontender, bowel sounds present.": ("K85.90", "K74.60", "A04.72"),
    "No leg swelling, pulses palpable.": ("I50.9", "I11.0", "I82.409"),
    "Moves all extremities, gait steady.": ("I63.9", "G20.A1"),
    "Speech fluent, mood appropriate.": ("I63.9", "F32.A", "F20.9"),
    "Mucous membranes moist.": ("E86.0",),
    "No tenderness over the spine.": ("M54.50",),
}

# a normal result, and the codes it would contradict
NORMAL_RESULTS = (
    ("Na <136-143>", "E87.1"),
    ("K <3.7-4.8>", "E87.6"),
    ("creatinine <0.7-1.1>", "N17.9", "N18.30", "N18.6", "E11.22"),
    ("Hgb <13.2-15.8>", "D64.9", "D50.9", "D57.1", "K92.2"),
    ("A1c <4.9-5.6> %", "E11.9", "E11.22", "E11.40", "E10.9"),
    ("LDL <62-98>", "E78.5"),
    ("TSH <0.9-3.6>", "E03.9"),
    ("platelets <168-320>", "D69.6"),
    ("BNP <22-88>", "I50.9", "I11.0"),
    ("troponin below 0.01", "I21.4"),
    ("lactate <0.8-1.6>", "A41.9"),
    ("lipase <22-51>", "K85.90"),
    ("urinalysis clean", "N39.0"),
    ("chest film clear", "J18.9", "C34.90"),
    ("white cells <5.2-9.8>", "A41.9", "J18.9"),
    ("BMI <19-25>", "E66.9"),
    ("ECG in sinus rhythm", "I48.91"),
)
OTHER_DRUGS = (
    "aspirin 81 mg",
    "acetaminophen as needed",
    "multivitamin",
    "melatonin 3 mg",
    "ibuprofen as needed",
    "docusate",
    "cetirizine 10 mg",
    "fish oil",
    "saline nasal spray",
)


@dataclass(frozen=True)
class Layout:
    """The sections of a note in order, each with its heading, and what stands between the parts."""

    sections: tuple[tuple[str, str], ...]
    section_separator: str
    sentence_separator: str = " "
    list_separator: str = ", "
    lower: bool = False


LAYOUTS = (
    Layout(
        (
            ("opening", "HISTORY OF PRESENT ILLNESS:"),
            ("history", ""),
            ("past", "PAST MEDICAL HISTORY:"),
            ("family", "FAMILY HISTORY:"),
            ("social", "SOCIAL HISTORY:"),
            ("drugs", "MEDICATIONS:"),
            ("exam", "PHYSICAL EXAM:"),
            ("results", "LABS AND STUDIES:"),
            ("plan", "ASSESSMENT AND PLAN:"),
        ),
        "\n",
    ),
    Layout(
        (
            ("opening", "S:"),
            ("history", ""),
            ("past", "PMH:"),
            ("drugs", "Meds:"),
            ("family", "FH:"),
            ("social", "SH:"),
            ("exam", "O:"),
            ("results", ""),
            ("plan", "A/P:"),
        ),
        "\n",
        sentence_separator="\n- ",
        list_separator="; ",
    ),
    Layout(
        (
            ("opening", ""),
            ("past", "History notable for"),
            ("family", ""),
            ("history", ""),
            ("social", ""),
            ("exam", "On examination:"),
            ("results", "Results:"),
            ("plan", ""),
            ("drugs", "Takes"),
        ),
        " ",
    ),
    Layout(
        (
            ("opening", "cc/hpi:"),
            ("history", ""),
            ("past", "pmhx:"),
            ("family", "fhx:"),
            ("social", "shx:"),
            ("exam", "pe:"),
            ("results", "data:"),
            ("drugs", "rx:"),
            ("plan", "dispo:"),
        ),
        "\n",
        lower=True,
    ),
    Layout(
        (
            ("plan", "DISCHARGE DIAGNOSES AND PLAN:"),
            ("opening", "BRIEF HOSPITAL COURSE:"),
            ("history", ""),
            ("results", "PERTINENT RESULTS:"),
            ("exam", "DISCHARGE EXAM:"),
            ("past", "CHRONIC ISSUES:"),
            ("drugs", "DISCHARGE MEDICATIONS:"),
            ("family", "FAMILY:"),
            ("social", "SOCIAL:"),
        ),
        "\n\n",
        list_separator=" / ",
    ),
)
