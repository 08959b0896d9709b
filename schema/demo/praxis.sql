-- The demo practice, database `praxis`: tables named after FHIR R4 resources (docs/formats/import-fhir.md says which
-- element lands where). It stands for an office's own database: nothing here belongs to Verbund, and there are no
-- triggers. May be run again: existing tables are kept.
--
-- A partial date is stored as the first instant of what it names, next to how exact it is: '1974' is 1974-01-01 with
-- precision 'year'. Whoever shows or compares such a date must look at the precision.
--
-- Imported rows carry the identity they came with (identifier_system, identifier_value); rows typed in have none.

CREATE TABLE IF NOT EXISTS patient (
  id                    uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  family_name           text NOT NULL DEFAULT '',   -- '' is unknown; tree label: family, given, birth date
  given_name            text NOT NULL DEFAULT '',
  name_prefix           text,
  other_names           text,                       -- maiden, former and further names, separated by '; '
  gender                text CHECK (gender IN ('male', 'female', 'other', 'unknown')),
  birth_date            date,
  birth_date_precision  text CHECK (birth_date_precision IN ('year', 'month', 'day')),
  deceased              boolean NOT NULL DEFAULT false,
  deceased_at           timestamptz,
  deceased_at_precision text CHECK (deceased_at_precision IN ('year', 'month', 'day', 'time')),
  phone                 text,
  email                 text,
  street                text,
  postal_code           text,
  city                  text,
  country               text,
  active                boolean NOT NULL DEFAULT true,
  CHECK ((birth_date IS NULL) = (birth_date_precision IS NULL)),
  CHECK ((deceased_at IS NULL) = (deceased_at_precision IS NULL))
);
CREATE INDEX IF NOT EXISTS patient_tree ON patient (family_name, given_name, birth_date);

-- Every number by which a patient is known, and the references (system urn:verbund:fhir, urn:ietf:rfc:3986) under
-- which its sources name it. A number without a system says nothing outside its source: it identifies nobody.
CREATE TABLE IF NOT EXISTS patient_identifier (
  id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  patient_id  uuid NOT NULL REFERENCES patient ON DELETE CASCADE,
  system      text NOT NULL,
  value       text NOT NULL,
  use         text,
  type        text,
  UNIQUE (patient_id, system, value)
);
CREATE UNIQUE INDEX IF NOT EXISTS patient_identifier_system_value ON patient_identifier (system, value) WHERE system <> '';

CREATE TABLE IF NOT EXISTS encounter (
  id                   uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  patient_id           uuid NOT NULL REFERENCES patient ON DELETE CASCADE,
  identifier_system    text,
  identifier_value     text,
  status               text NOT NULL DEFAULT 'unknown',
  class                text,
  type                 text,
  reason               text,
  started_at           timestamptz,
  started_at_precision text CHECK (started_at_precision IN ('year', 'month', 'day', 'time')),
  ended_at             timestamptz,
  ended_at_precision   text CHECK (ended_at_precision IN ('year', 'month', 'day', 'time')),
  UNIQUE (identifier_system, identifier_value),
  CHECK ((started_at IS NULL) = (started_at_precision IS NULL)),
  CHECK ((ended_at IS NULL) = (ended_at_precision IS NULL))
);
CREATE INDEX IF NOT EXISTS encounter_patient ON encounter (patient_id, started_at);

CREATE TABLE IF NOT EXISTS condition (
  id                     uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  patient_id             uuid NOT NULL REFERENCES patient ON DELETE CASCADE,
  encounter_id           uuid REFERENCES encounter ON DELETE SET NULL,
  identifier_system      text,
  identifier_value       text,
  clinical_status        text,
  verification_status    text,
  code_system            text,
  code                   text,
  display                text NOT NULL,
  onset_at               timestamptz,
  onset_at_precision     text CHECK (onset_at_precision IN ('year', 'month', 'day', 'time')),
  abatement_at           timestamptz,
  abatement_at_precision text CHECK (abatement_at_precision IN ('year', 'month', 'day', 'time')),
  note                   text,
  UNIQUE (identifier_system, identifier_value),
  CHECK ((onset_at IS NULL) = (onset_at_precision IS NULL)),
  CHECK ((abatement_at IS NULL) = (abatement_at_precision IS NULL))
);
CREATE INDEX IF NOT EXISTS condition_patient ON condition (patient_id);
CREATE INDEX IF NOT EXISTS condition_encounter ON condition (encounter_id);

-- A measurement; one of several parts (blood pressure: systolic and diastolic) is a row of its own with component_of.
CREATE TABLE IF NOT EXISTS observation (
  id                     uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  patient_id             uuid NOT NULL REFERENCES patient ON DELETE CASCADE,
  encounter_id           uuid REFERENCES encounter ON DELETE SET NULL,
  component_of           uuid REFERENCES observation ON DELETE CASCADE,
  identifier_system      text,
  identifier_value       text,
  status                 text NOT NULL DEFAULT 'unknown',
  category               text,
  code_system            text,
  code                   text,                      -- LOINC as a rule: 8480-6 systolic, 8462-4 diastolic
  display                text NOT NULL,
  value_number           numeric,
  value_text             text,                      -- a value that is no number, or the reason why there is none
  unit                   text,
  effective_at           timestamptz,
  effective_at_precision text CHECK (effective_at_precision IN ('year', 'month', 'day', 'time')),
  note                   text,
  UNIQUE (identifier_system, identifier_value),
  CHECK ((effective_at IS NULL) = (effective_at_precision IS NULL))
);
CREATE INDEX IF NOT EXISTS observation_patient ON observation (patient_id, effective_at);
CREATE INDEX IF NOT EXISTS observation_encounter ON observation (encounter_id);
CREATE INDEX IF NOT EXISTS observation_component_of ON observation (component_of);

CREATE TABLE IF NOT EXISTS medication (
  id                    uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  patient_id            uuid NOT NULL REFERENCES patient ON DELETE CASCADE,
  encounter_id          uuid REFERENCES encounter ON DELETE SET NULL,
  identifier_system     text,
  identifier_value      text,
  kind                  text NOT NULL CHECK (kind IN ('request', 'statement')),
  status                text NOT NULL DEFAULT 'unknown',
  code_system           text,
  code                  text,
  display               text NOT NULL,
  dosage                text,
  started_at            timestamptz,
  started_at_precision  text CHECK (started_at_precision IN ('year', 'month', 'day', 'time')),
  ended_at              timestamptz,
  ended_at_precision    text CHECK (ended_at_precision IN ('year', 'month', 'day', 'time')),
  UNIQUE (identifier_system, identifier_value),
  CHECK ((started_at IS NULL) = (started_at_precision IS NULL)),
  CHECK ((ended_at IS NULL) = (ended_at_precision IS NULL))
);
CREATE INDEX IF NOT EXISTS medication_patient ON medication (patient_id);
CREATE INDEX IF NOT EXISTS medication_encounter ON medication (encounter_id);

-- Which nurse (user name of the office) cares for which patient: decides what a nurse's device gets.
CREATE TABLE IF NOT EXISTS care_assignment (
  id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  patient_id  uuid NOT NULL REFERENCES patient ON DELETE CASCADE,
  nurse       text NOT NULL CHECK (nurse <> ''),
  valid_from  date,
  valid_until date,
  UNIQUE (patient_id, nurse)
);
CREATE INDEX IF NOT EXISTS care_assignment_nurse ON care_assignment (nurse);
