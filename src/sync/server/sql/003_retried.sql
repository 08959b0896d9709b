-- A person has tried the reject again: whatever the device knew of it by then, it is given the row as it becomes.
ALTER TABLE sync.change ADD COLUMN retried boolean NOT NULL DEFAULT false;
-- What a sync asks for each time must not cost more with every change that was ever made.
CREATE INDEX change_untold ON sync.change (device, subscription) WHERE told_sync IS NULL;
CREATE INDEX change_apply ON sync.change (apply_id);
