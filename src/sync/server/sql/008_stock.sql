-- All rows of a subscription as blocks, for every device that gets them anew within a while: what has changed since follows in blocks of the device's own (docs/adr/0039).
CREATE TABLE sync.stock (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  shape text NOT NULL,                      -- of the rows, and the limits that they were written within
  history text NOT NULL,
  csn bigint NOT NULL,                      -- the rows are those as of this change
  blocks integer,                           -- how many; NULL: they are being written
  made timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX stock_shape ON sync.stock (shape);
CREATE TABLE sync.stock_block (
  stock bigint NOT NULL REFERENCES sync.stock ON DELETE CASCADE,
  block integer NOT NULL,
  content bytea NOT NULL,
  PRIMARY KEY (stock, block)
);
ALTER TABLE sync.stock_block ALTER COLUMN content SET STORAGE EXTERNAL;

-- Replies that begin with a stock; blocks behind it are in sync.output.
CREATE TABLE sync.output_stock (
  device bigint NOT NULL,
  number bigint NOT NULL,
  subscription text NOT NULL,
  stock bigint NOT NULL REFERENCES sync.stock ON DELETE CASCADE,
  PRIMARY KEY (device, number, subscription)
);
CREATE INDEX output_stock_stock ON sync.output_stock (stock);
