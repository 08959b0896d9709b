-- Devices lock their data when they have not been here for longer than their group's lease; what they keep then only these keys open again (base64).
ALTER TABLE sync.device ADD COLUMN lease_key text;
ALTER TABLE sync.device ADD COLUMN lease_secret text;
