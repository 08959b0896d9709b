-- A person has tried the reject again: whatever the device knew of it by then, it is given the row as it becomes.
ALTER TABLE sync.change ADD COLUMN retried boolean NOT NULL DEFAULT false;
