-- Who cancelled a visit, and why.

-- +goose NO TRANSACTION
-- +goose Up

-- The statements can be repeated. The release before cancels without these columns.
ALTER TABLE appointment ADD COLUMN IF NOT EXISTS cancel_initiator varchar(20);
ALTER TABLE appointment ADD COLUMN IF NOT EXISTS cancel_cause varchar(40);
ALTER TABLE appointment ADD COLUMN IF NOT EXISTS cancel_client_guid uuid;
COMMENT ON COLUMN appointment.cancel_initiator IS
    'Who wanted the cancellation: patient or institution. Null in a cancelled visit: unknown, because an earlier release has cancelled it.';
COMMENT ON COLUMN appointment.cancel_cause IS 'Why the institution has cancelled the visit; null if the patient has.';
COMMENT ON COLUMN appointment.cancel_client_guid IS 'The client application that has cancelled the visit. Patients do not see it.';
COMMENT ON COLUMN appointment.cancel_reason IS
    'Why it was cancelled in words, for the patient: the Reason of a patient''s cancel if the code is 6, or the Text of the institution''s.';

ALTER TABLE appointment DROP CONSTRAINT IF EXISTS appointment_cancellation;
ALTER TABLE appointment
    ADD CONSTRAINT appointment_cancellation CHECK (CASE
        WHEN cancel_initiator IS NULL THEN cancel_cause IS NULL AND cancel_client_guid IS NULL
        ELSE cancelled_at IS NOT NULL AND cancel_client_guid IS NOT NULL AND cancel_initiator IN ('patient', 'institution')
            AND (cancel_cause IS NOT NULL OR cancel_initiator = 'patient')
            AND (cancel_cause IS NULL OR cancel_cause IN ('doctor_absent', 'equipment_failed', 'schedule_changed', 'institution_closed', 'patient_request',
                'patient_died', 'booked_by_mistake', 'other'))
            AND (cancel_cause IS DISTINCT FROM 'other' OR cancel_reason IS NOT NULL)
    END) NOT VALID;
ALTER TABLE appointment VALIDATE CONSTRAINT appointment_cancellation;

-- +goose Down

ALTER TABLE appointment DROP CONSTRAINT IF EXISTS appointment_cancellation;
COMMENT ON COLUMN appointment.cancel_reason IS 'Why it was cancelled in words (Reason); kept where the code is 6.';
ALTER TABLE appointment DROP COLUMN IF EXISTS cancel_client_guid;
ALTER TABLE appointment DROP COLUMN IF EXISTS cancel_cause;
ALTER TABLE appointment DROP COLUMN IF EXISTS cancel_initiator;
