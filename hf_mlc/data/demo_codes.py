"""The codes of the demo corpus and the ways a made-up note speaks of them.

The codes are real ICD-10-CM codes with descriptions in our own words; phrases, frequencies and pairings are invented.
They teach software, not medicine: coding rules are simplified, and nothing here is fit for clinical use.

Each entry of the sheet below reads

    CODE acute|chronic COUNT KINDS [F|M] [AGE+] [with CODES] | description
      name: ways to name it; some of them abbreviations that mean other things elsewhere
      told: what the patient says or shows; noun phrases
      lab:  results that imply it; <low-high> is drawn anew for every mention
      drug: treatments that imply it

COUNT, up to 10, is how often the code occurs in each 2,000 notes; above, it is a weight for random draws. KINDS says how a note may mention it without having it: N negated, F in
the family, R resolved long ago, S screening planned, - never. `with` names codes that tend to come along.
"""

from __future__ import annotations

from dataclasses import dataclass


_SHEET = """
I10 chronic 720 NFS 30+ with E78.5 E11.9 E66.9 I25.10 | High blood pressure with no identified cause
  name: hypertension; HTN; high blood pressure; essential hypertension; elevated BP; primary HTN
  told: home cuff readings around <150-178> over <90-104>
  drug: amlodipine <5-10> mg daily; lisinopril 20 mg daily; hydrochlorothiazide 25 mg
I11.0 chronic 45 N 45+ with I50.9 I48.91 | Heart disease due to high blood pressure, with heart failure
  name: hypertensive heart disease with failure; hypertensive heart failure; HTN heart disease with CHF
  told: longstanding pressure problem now with a stiff, failing ventricle
  drug: sacubitril-valsartan for pressure and pump function
E78.5 chronic 570 NFS 30+ with I10 I25.10 E11.9 | Raised blood lipids, type not stated
  name: hyperlipidemia; HLD; high cholesterol; dyslipidemia; elevated lipids
  lab: LDL <142-205>; total cholesterol <228-296>
  drug: atorvastatin 40 mg nightly; rosuvastatin 10 mg; simvastatin 20 mg at bedtime
E11.9 chronic 560 NFS 30+ with I10 E78.5 E66.9 Z79.4 | Type 2 diabetes without recorded complications
  name: type 2 diabetes; T2DM; DM2; adult-onset diabetes; diabetes mellitus; NIDDM; DM
  told: morning sugars in the <180-260>s
  lab: A1c <7.4-10.8> %; fasting glucose <158-262>
  drug: metformin 1000 mg twice daily; glipizide 5 mg; empagliflozin 10 mg
E11.22 chronic 45 N 40+ with N18.30 Z79.4 | Type 2 diabetes with chronic kidney disease from it
  name: diabetic nephropathy; diabetic kidney disease; DKD; T2DM with renal involvement
  lab: A1c <7.9-9.9> % with urine albumin ratio <320-980>
  drug: finerenone 10 mg with metformin held for low GFR
E11.40 chronic 55 N 40+ with Z79.4 I10 E78.5 | Type 2 diabetes with nerve damage from it
  name: diabetic neuropathy; DM2 with neuropathy; diabetic peripheral neuropathy; diabetic polyneuropathy
  told: burning feet blamed on years of high sugars
  drug: gabapentin 300 mg for sugar-related foot pain
E10.9 chronic 22 NF with E03.9 K90.0 | Type 1 diabetes without recorded complications
  name: type 1 diabetes; T1DM; juvenile-onset diabetes; DM1; IDDM; DM
  told: an insulin pump since childhood
I25.10 chronic 230 NF 45+ with I10 E78.5 I21.4 Z87.891 | Narrowed coronary arteries, no angina
  name: coronary artery disease; CAD; coronary atherosclerosis; ischemic heart disease; coronary disease
  told: two stents placed in <2009-2019>; a triple bypass in <2005-2018>
  drug: clopidogrel 75 mg; isosorbide mononitrate 30 mg; metoprolol succinate 50 mg
I48.91 chronic 190 NF 50+ with Z79.01 I10 I50.9 | Atrial fibrillation, type not stated
  name: atrial fibrillation; afib; AF; a-fib; irregular atrial rhythm
  told: an irregularly irregular pulse without P waves on ECG
  drug: apixaban 5 mg with diltiazem for rate; metoprolol succinate 50 mg; amiodarone 200 mg
I50.9 chronic 150 N 50+ with I48.91 I25.10 N17.9 E87.1 | Heart failure, type not stated
  name: congestive heart failure; CHF; heart failure; HF; cardiac failure; decompensated HF
  told: swollen ankles and three-pillow breathlessness
  lab: BNP <890-2900>; ejection fraction <20-35> %
  drug: furosemide 40 mg; carvedilol 12.5 mg with spironolactone
I21.4 acute 55 NFR 45+ with I25.10 E78.5 F17.210 | Heart attack without ST elevation
  name: NSTEMI; non-ST elevation MI; non-ST elevation myocardial infarction; heart attack; MI
  lab: troponin rising to <0.8-6.2> with ST depressions
  drug: heparin drip and dual antiplatelets before catheterization
I63.9 acute 55 NF 50+ with I48.91 I10 E78.5 | Stroke from a blocked brain artery, cause not stated
  name: ischemic stroke; CVA; cerebral infarction; acute stroke; brain infarct
  told: sudden left arm weakness and slurred speech
  lab: MRI with restricted diffusion in the left MCA territory
Z86.73 chronic 45 - 50+ with I10 E78.5 I48.91 | Past stroke or TIA that left no deficit
  name: prior CVA without deficits; history of TIA; old stroke, no residual weakness; remote TIA
  told: a mini-stroke in <2008-2019> with full recovery
I26.99 acute 42 NR with I82.409 Z79.01 J96.01 | Clot in the lung arteries without acute right heart strain
  name: pulmonary embolism; PE; pulmonary embolus; lung clot; segmental PE
  lab: CT angiogram with a filling defect in the right lower lobe
I82.409 acute 40 NFR with I26.99 Z79.01 | Fresh clot in a deep leg vein, vein and side not stated
  name: deep vein thrombosis; DVT; leg clot; lower extremity DVT; deep venous thrombus
  told: a swollen, tender calf after a long flight
  lab: duplex with a noncompressible femoral vein
I35.0 chronic 26 N 60+ with I50.9 I25.10 | Narrowed aortic valve, not rheumatic
  name: aortic stenosis; AS; severe AS; aortic valve stenosis; calcific aortic valve narrowing
  lab: echo valve area <0.6-0.9> cm2 with a harsh systolic murmur
I71.40 chronic 4 NFS 60+ with I10 I25.10 Z87.891 | Widened abdominal aorta, not ruptured, site not stated
  name: abdominal aortic aneurysm; AAA; infrarenal aneurysm; aneurysm of the abdominal aorta
  lab: ultrasound aorta <4.1-5.2> cm
Z79.01 chronic 95 - 40+ with I48.91 | Long-term use of blood thinners
  name: chronic anticoagulation; long-term anticoagulation; lifelong blood thinner; chronic DOAC therapy
  lab: INR <2.1-3.4> on warfarin
  drug: warfarin 5 mg indefinitely; rivaroxaban 20 mg indefinitely
J44.9 chronic 200 NF 45+ with F17.210 Z87.891 G47.33 | Chronic obstructive lung disease, no flare
  name: COPD; emphysema; chronic obstructive lung disease; chronic obstructive pulmonary disease; stable COPD
  lab: FEV1 <38-62> % with fixed obstruction
  drug: tiotropium inhaler daily; umeclidinium-vilanterol inhaler; albuterol as needed
J44.1 acute 70 N 45+ with F17.210 J96.01 | Flare of chronic obstructive lung disease
  name: COPD exacerbation; acute exacerbation of COPD; AECOPD; COPD flare; emphysema flare
  told: worse wheeze and thicker sputum on home tiotropium
  drug: prednisone burst, azithromycin and round-the-clock nebulizers
J45.909 chronic 120 NFR with K21.9 F41.9 | Asthma without current complication
  name: asthma; reactive airway disease; RAD; bronchial asthma; mild asthma
  told: wheeze with cats and cold air since school days
  drug: fluticasone inhaler; montelukast 10 mg; albuterol as needed
J18.9 acute 140 NR with J96.01 A41.9 J44.9 | Pneumonia, organism not stated
  name: pneumonia; CAP; PNA; community-acquired pneumonia; lung infection
  told: fever and rusty sputum for <2-6> days
  lab: chest film with a right lower lobe infiltrate
  drug: ceftriaxone plus azithromycin
J96.01 acute 70 N with J18.9 J44.1 I50.9 U07.1 | Sudden breathing failure with low oxygen
  name: acute hypoxic respiratory failure; AHRF; hypoxemic respiratory failure; acute respiratory failure; ARF
  lab: saturation <74-85> % needing high-flow oxygen
J84.10 chronic 5 NF 55+ with J96.01 K21.9 | Scarring of the lungs, cause not stated
  name: pulmonary fibrosis; lung fibrosis; fibrotic lung disease; interstitial scarring
  drug: nintedanib 150 mg twice daily
G47.33 chronic 110 NF with E66.9 I10 | Blocked breathing during sleep
  name: obstructive sleep apnea; OSA; sleep apnea; sleep-disordered breathing
  told: loud snoring with witnessed pauses
  lab: sleep study AHI <22-61>
  drug: CPAP nightly
F17.210 chronic 330 N with J44.9 I25.10 F10.20 | Dependence on cigarettes
  name: nicotine dependence; tobacco use disorder; current smoking; active cigarette use; tobacco abuse
  told: a pack a day for <10-40> years; half a pack daily, not ready to quit
  drug: nicotine patch 21 mg; varenicline starter pack
Z87.891 chronic 100 - 40+ with J44.9 I25.10 | Used to smoke
  name: former smoker; ex-smoker; remote tobacco use; past tobacco use, quit; prior smoker
  told: a <20-45> pack-year habit given up in <1998-2018>
E03.9 chronic 200 NFS with D64.9 F32.A | Underactive thyroid, cause not stated
  name: hypothyroidism; low thyroid; underactive thyroid; hypothyroid state; acquired hypothyroidism
  lab: TSH <8.2-24.5>
  drug: levothyroxine <50-125> mcg daily
E66.9 chronic 230 NF with G47.33 E11.9 I10 M17.9 | Obesity, not further described
  name: obesity; obese habitus; excess weight; elevated BMI
  lab: BMI <32-44>; weight <118-152> kg
  drug: semaglutide weekly for weight
E87.1 acute 60 N with I50.9 K74.60 F10.20 | Low blood sodium
  name: hyponatremia; low sodium; low Na; hyposmolar state
  lab: Na <118-129>; sodium <117-130>
E87.6 acute 66 N with E86.0 K59.00 | Low blood potassium
  name: hypokalemia; low potassium; low K; potassium depletion
  lab: K <2.5-3.2>; potassium <2.4-3.2>
E27.1 chronic 3 NF with E03.9 E87.1 | Adrenal glands that make too little cortisol
  name: Addison disease; primary adrenal insufficiency; Addison's
  drug: hydrocortisone 15 mg with fludrocortisone
E86.0 acute 80 N with N17.9 E87.6 A04.72 | Dehydration
  name: dehydration; volume depletion; dry on exam; hypovolemia
  told: two days of poor intake with dark urine
  drug: two liters of saline given
Z79.4 chronic 70 - with E11.9 E11.40 | Long-term use of insulin
  name: long-term insulin use; insulin-requiring; basal-bolus insulin; chronic insulin therapy
  drug: insulin glargine <14-46> units nightly; insulin lispro with meals
N17.9 acute 160 NR with E86.0 N39.0 | Sudden loss of kidney function, cause not stated
  name: acute kidney injury; AKI; acute renal failure; ARF; acute renal insufficiency
  lab: creatinine <1.9-4.2> from a baseline of 0.9
N18.30 chronic 120 NF 45+ with D64.9 E11.22 M10.9 | Chronic kidney disease, stage 3 not subdivided
  name: CKD stage 3; stage III chronic kidney disease; CKD 3; moderate chronic renal insufficiency; CKD
  lab: eGFR <33-56>, unchanged for a year
N18.6 chronic 26 N 35+ with Z99.2 D64.9 | End-stage kidney disease
  name: end-stage renal disease; ESRD; end stage kidney failure; kidney failure awaiting transplant
  told: a thrill over the left arm fistula
Z99.2 chronic 20 N 35+ with N18.6 | Depends on dialysis
  name: dialysis dependence; hemodialysis; HD three times weekly; maintenance dialysis
  told: Monday-Wednesday-Friday sessions at the dialysis unit
N39.0 acute 160 NR with A41.9 N17.9 F03.90 | Urinary tract infection, site not stated
  name: urinary tract infection; UTI; bladder infection; urine infection; cystitis
  told: burning on passing water and frequency
  lab: urinalysis with nitrites and many white cells
  drug: nitrofurantoin for five days; ceftriaxone for the urine
N40.1 chronic 84 NF M 50+ with I10 N39.0 | Enlarged prostate with urinary symptoms
  name: BPH; enlarged prostate; prostatic hyperplasia; benign prostatic hypertrophy with LUTS
  told: weak stream and four night-time voids
  drug: tamsulosin 0.4 mg; finasteride 5 mg
K21.9 chronic 330 NF with J45.909 E66.9 | Acid reflux without inflamed gullet
  name: GERD; acid reflux; gastroesophageal reflux; reflux disease; heartburn
  told: sour taste and burning after meals
  drug: omeprazole 20 mg daily; pantoprazole 40 mg; famotidine 20 mg
K92.2 acute 46 NR with D50.9 Z79.01 D64.9 | Bleeding in the gut, place not stated
  name: GI bleed; gastrointestinal hemorrhage; GIB; gut bleeding
  told: black tarry stools since <2-5> days
K74.60 chronic 30 NF 35+ with F10.20 B18.2 D69.6 | Scarred liver, cause not stated
  name: cirrhosis; liver cirrhosis; end-stage liver disease; ESLD; scarred liver
  told: a tense belly needing paracentesis
  drug: lactulose and rifaximin
K85.90 acute 30 NR with F10.20 | Sudden inflammation of the pancreas without necrosis or infection
  name: acute pancreatitis; pancreatitis; inflamed pancreas
  lab: lipase <840-3900>
K50.90 chronic 5 NF with D50.9 | Crohn's disease without recorded complication
  name: Crohn's disease; Crohn disease; regional enteritis; CD
  drug: adalimumab for ileal disease
K51.90 chronic 8 NF with D50.9 | Ulcerative colitis without recorded complication
  name: ulcerative colitis; UC; chronic colitis
  drug: mesalamine enemas nightly
K90.0 chronic 3 NFS with D50.9 E10.9 | Immune reaction of the gut to gluten
  name: celiac disease; gluten enteropathy; sprue
  lab: transglutaminase antibodies above 100
K59.00 acute 76 NR with G20.A1 M54.50 | Constipation, type not stated
  name: constipation; hard stools; infrequent stools; obstipation
  told: no bowel movement in <4-8> days
  drug: senna and polyethylene glycol
D64.9 chronic 150 N with N18.30 N18.6 | Anemia, type not stated
  name: anemia; low blood count; chronic anemia; anaemia; low hemoglobin
  lab: Hgb <7.8-10.4>; hematocrit <24-31>
D50.9 chronic 70 NFS with K92.2 K21.9 | Anemia from too little iron
  name: iron deficiency anemia; IDA; iron-deficient anemia; low iron stores
  lab: ferritin <4-11> with MCV <68-77>
  drug: ferrous sulfate 325 mg; IV iron sucrose
D69.6 acute 26 N with K74.60 A41.9 | Low platelet count
  name: thrombocytopenia; low platelets; low plt
  lab: platelets <38-96>
D57.1 chronic 2 NF with D64.9 | Sickle-cell disease, no crisis
  name: sickle cell disease; HbSS; sickle cell anemia; SCD
  drug: hydroxyurea for sickling
C34.90 chronic 16 NFS 50+ with F17.210 J44.9 | Lung cancer, part and side not stated
  name: lung cancer; lung adenocarcinoma; NSCLC; bronchogenic carcinoma
  lab: biopsy of the right upper lobe mass positive for adenocarcinoma
C50.919 chronic 20 NFS F 35+ with F41.9 D64.9 | Breast cancer in a woman, site and side not stated
  name: breast cancer; breast carcinoma; invasive ductal carcinoma; breast CA
  drug: on paclitaxel before lumpectomy
Z85.3 chronic 22 - F 45+ with M81.0 | Breast cancer in the past
  name: prior breast cancer, in remission; breast cancer survivor; history of treated breast CA
  told: a mastectomy in <2003-2014> and clear mammograms since
C61 chronic 18 NFS M 55+ with M81.0 N40.1 | Prostate cancer
  name: prostate cancer; prostate adenocarcinoma; prostate CA; carcinoma of the prostate
  lab: PSA <14-62> with a positive core biopsy
  drug: leuprolide every three months
F32.A chronic 220 NFS with F41.9 E03.9 M54.50 | Depression, not further described
  name: depression; depressive disorder; low mood, on treatment; clinical depression; MDD
  told: tearfulness and loss of interest since spring
  lab: PHQ-9 <14-22>
  drug: sertraline 50 mg; escitalopram 10 mg; bupropion 150 mg
F41.9 chronic 180 NF with F32.A G43.909 | Anxiety, not further described
  name: anxiety; anxiety disorder; GAD; chronic anxiety; nerves
  told: constant worry and racing thoughts
  drug: buspirone 10 mg; escitalopram 10 mg; hydroxyzine as needed
F10.20 chronic 70 NF with K74.60 K85.90 F17.210 | Alcohol dependence without complication
  name: alcohol use disorder; alcohol dependence; EtOH dependence; alcoholism; heavy drinking
  told: a fifth of vodka daily
  drug: naltrexone for craving; thiamine and lorazepam taper
F03.90 chronic 46 NF 65+ with N39.0 | Dementia, kind and severity not stated, without disturbed behavior
  name: dementia; chronic cognitive decline; senile dementia; memory loss, progressive
  lab: MMSE <11-19> out of 30
  drug: donepezil 10 mg
F20.9 chronic 6 NF with F17.210 | Schizophrenia, not further described
  name: schizophrenia; chronic psychotic illness; SCZ
  drug: paliperidone injection monthly
G20.A1 chronic 12 NF 55+ with K59.00 | Parkinson's disease without dyskinesia or fluctuations
  name: Parkinson's disease; Parkinson disease; PD; parkinsonism
  told: a pill-rolling tremor and small steps
  drug: carbidopa-levodopa four times daily
G40.909 chronic 26 NFR with F32.A | Epilepsy that responds to treatment, type not stated
  name: epilepsy; seizure disorder; sz disorder; recurrent seizures
  drug: levetiracetam 500 mg twice daily; lamotrigine 100 mg
G43.909 chronic 50 NF with F41.9 | Migraine that responds to treatment, type not stated
  name: migraine; migraine headaches; chronic migraines; migraines
  told: throbbing one-sided headaches with light bothering the eyes
  drug: sumatriptan 50 mg as needed; topiramate 50 mg
G70.00 chronic 2 NF | Muscle weakness from nerve-junction antibodies, no flare
  name: myasthenia gravis; myasthenia; MG
  drug: pyridostigmine 60 mg
M81.0 chronic 56 NFS 55+ | Age-related thin bones without a current fracture
  name: osteoporosis; low bone density; postmenopausal bone loss; thin bones
  lab: T-score -<2.6-3.8>
  drug: alendronate 70 mg weekly; denosumab every six months
M06.9 chronic 30 NF with M81.0 D64.9 | Rheumatoid arthritis, not further described
  name: rheumatoid arthritis; RA; rheumatoid disease; inflammatory polyarthritis
  told: swollen knuckles with an hour of morning stiffness
  drug: methotrexate 15 mg weekly with folic acid
M10.9 chronic 56 NFR with N18.30 I10 | Gout, not further described
  name: gout; gouty arthritis; podagra; crystal arthritis
  told: a hot, red big toe
  drug: allopurinol 300 mg; colchicine 0.6 mg
M17.9 chronic 84 NF 45+ with E66.9 | Worn knee joint
  name: knee osteoarthritis; OA of the knee; degenerative knee disease; OA; worn-out knees
  told: grinding knees on stairs
  drug: knee injections every four months
M54.50 acute 84 NR with F32.A E66.9 | Low back pain, not further described
  name: low back pain; LBP; lumbago; lumbar pain; chronic backache
  told: an aching lower spine after lifting
  drug: cyclobenzaprine 10 mg
M32.9 chronic 3 NF with D69.6 | Lupus, organs not stated
  name: lupus; systemic lupus erythematosus; SLE
  drug: hydroxychloroquine 400 mg for a positive dsDNA
L40.9 chronic 9 NF | Psoriasis, not further described
  name: psoriasis; psoriatic plaques; plaque psoriasis
  drug: clobetasol to elbow plaques
A41.9 acute 60 NR with N39.0 J18.9 N17.9 | Blood poisoning from infection, organism not stated
  name: sepsis; septicemia; septic picture; systemic infection
  lab: lactate <2.8-5.6> with white cells <16.2-27.9>
  drug: vancomycin and piperacillin-tazobactam with fluid boluses
B18.2 chronic 12 NRS with K74.60 | Long-lasting hepatitis C
  name: chronic hepatitis C; HCV; hep C; hepatitis C carrier state
  drug: sofosbuvir-velpatasvir for 12 weeks
B20 chronic 5 NS | Disease from HIV infection
  name: HIV disease; AIDS; HIV
  drug: bictegravir combination tablet
U07.1 acute 40 NR with J96.01 J18.9 | COVID-19 proven by a test
  name: COVID-19; COVID; SARS-CoV-2 infection; coronavirus infection
  told: loss of smell, cough and a positive home swab
  drug: nirmatrelvir-ritonavir for five days
A04.72 acute 8 NR with E86.0 | Bowel infection with C. difficile, first episode
  name: C. diff colitis; C difficile infection; clostridial colitis; CDI
  drug: oral vancomycin 125 mg
A15.0 acute 1 NRS with B20 | Tuberculosis of the lung
  name: pulmonary tuberculosis; TB; active tuberculosis
  drug: rifampin, isoniazid, pyrazinamide and ethambutol
B02.9 acute 6 NR | Shingles without complication
  name: shingles; herpes zoster; zoster
  told: a painful band of blisters on the left flank
  drug: valacyclovir 1 g three times daily
H35.30 chronic 4 NFS 60+ | Age-related wear of the central retina, type not stated
  name: macular degeneration; AMD; ARMD
  drug: aflibercept eye injections
"""

# Codes on one line never share a note, nor is one of them denied in a note that carries another.
_EXCLUSIVE = """
I10 I11.0
I10 I50.9
I10 N18.30
I10 N18.6
I10 E11.22
E11.9 E11.22 E10.9
E11.9 E11.40
E10.9 E11.40
E10.9 Z79.4
E11.9 N18.30
E11.9 N18.6
N18.30 N18.6
N17.9 N18.6
I63.9 Z86.73
J44.9 J44.1
J45.909 J44.1
F17.210 Z87.891
C50.919 Z85.3
D64.9 D50.9
D64.9 D57.1
K50.90 K51.90
F32.A F20.9
"""

# A note with the first code of a line does not deny the others, though it need not carry them.
_ENTAILED = """
I11.0 I10 I50.9
I21.4 I25.10
E11.22 N18.30
Z79.4 E11.9 E11.22 E11.40
Z79.01 I48.91 I26.99 I82.409
Z99.2 N18.6 N17.9
"""


@dataclass(frozen=True)
class DemoCode:
    """One entry of the sheet; the fields are described at the top of this file."""

    code: str
    description: str
    chronic: bool
    count: int
    kinds: str
    sex: str
    min_age: int
    companions: tuple[str, ...]
    names: tuple[str, ...]
    told: tuple[str, ...]
    labs: tuple[str, ...]
    drugs: tuple[str, ...]


def _parse_entry(entry: list[str]) -> DemoCode:
    head, description = entry[0].split(" | ")
    head, _, companions = head.partition(" with ")
    code, course, count, kinds, *limits = head.split()
    assert course in {"acute", "chronic"}, entry[0]
    phrases = {}
    for line in entry[1:]:
        slot, _, listed = line.partition(":")
        phrases[slot.strip()] = tuple(phrase.strip() for phrase in listed.split(";"))
    return DemoCode(
        code=code,
        description=description,
        chronic=course == "chronic",
        count=int(count),
        kinds=kinds.strip("-"),
        sex=next((limit for limit in limits if limit in {"F", "M"}), ""),
        min_age=next((int(limit[:-1]) for limit in limits if limit.endswith("+")), 19),
        companions=tuple(companions.split()),
        names=phrases["name"],
        told=phrases.get("told", ()),
        labs=phrases.get("lab", ()),
        drugs=phrases.get("drug", ()),
    )


def _parse_sheet(sheet: str) -> dict[str, DemoCode]:
    entries: list[list[str]] = []
    for line in sheet.strip().splitlines():
        if line.startswith(" "):
            entries[-1].append(line)
        else:
            entries.append([line])
    return {code.code: code for code in map(_parse_entry, entries)}


def _parse_entailed(lines: str) -> dict[str, tuple[str, ...]]:
    return {code: tuple(others) for code, *others in map(str.split, lines.strip().splitlines())}


def _parse_exclusive(lines: str) -> dict[str, tuple[str, ...]]:
    groups = [line.split() for line in lines.strip().splitlines()]
    return {code: tuple(c for group in groups if code in group for c in group if c != code) for code in CODE_SHEET}


CODE_SHEET: dict[str, DemoCode] = _parse_sheet(_SHEET)
EXCLUDED_BY: dict[str, tuple[str, ...]] = _parse_exclusive(_EXCLUSIVE)

NOT_DENIED_WITH: dict[str, tuple[str, ...]] = {
    code: excluded + _parse_entailed(_ENTAILED).get(code, ()) for code, excluded in EXCLUDED_BY.items()
}

DEMO_CODES: dict[str, str] = {code: entry.description for code, entry in CODE_SHEET.items()}
"""Code -> description in our own words."""

DEMO_PARENTS: dict[str, str] = {code: code[:3] for code in DEMO_CODES if len(code) > 3}
"""Code -> its three-character category; codes that are a category themselves have no parent."""
