"""Debian's wal2json on a slot of its own beside the feed's: what the same log says, by somebody else's program."""
import json
import subprocess

from office import wait_for

SLOT = "second_decoder"


def join_key(parts):
    """docs/formats/journal.md: one part as it is, several joined by ',' with ',' and '\\' escaped."""
    if len(parts) == 1:
        return parts[0]
    return ",".join(part.replace("\\", "\\\\").replace(",", "\\,") for part in parts)


def as_text(column):
    """wal2json's JSON value as PostgreSQL's type writes it."""
    value, sql_type = column["value"], column["type"]
    if value is True or value is False:
        return "t" if value else "f"
    if sql_type == "bytea":
        return "\\x" + value
    return value


def lines(server, query, database=None, user="postgres"):
    argv, environment = server.psql("-v", "ON_ERROR_STOP=1", "-c", query, user=user, database=database)
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise AssertionError(f"psql: {done.stderr}")
    return [line for line in done.stdout.split("\n") if line]


class SecondDecoder:
    def __init__(self, server):
        self.server = server
        # Servers since 15.15 name the plugins that may be used.
        if server.sql("SELECT 1 FROM pg_settings WHERE name = 'output_plugin_libraries'"):
            server.sql("ALTER SYSTEM SET output_plugin_libraries = 'pgoutput', 'wal2json'")
            server.sql("SELECT pg_reload_conf()")
            wait_for(lambda: "wal2json" in server.sql("SHOW output_plugin_libraries"), "the server reads its settings again")
        server.sql(f"SELECT pg_create_logical_replication_slot('{SLOT}', 'wal2json')")

    def transactions(self, keys):
        """[(xid, [(op, schema, table, key, former key or None)])] of the tables in `keys` (name → key columns)."""
        rows = lines(self.server, f"SELECT data FROM pg_logical_slot_get_changes('{SLOT}', NULL, NULL, 'format-version', '2',"
                                  " 'include-xids', '1', 'include-transaction', '1')")
        found = []
        for row in rows:
            change = json.loads(row, parse_float=str, parse_int=str)
            if change["action"] == "B":
                found.append((int(change["xid"]), []))
            elif change["action"] in "IUDT":
                place = keys.get((change["schema"], change["table"]))
                if place:
                    found[-1][1].append(self._event(change, *place))
        return [(xid, events) for xid, events in found if events]

    @staticmethod
    def _event(change, name, columns):
        def key(part):
            values = {column["name"]: column for column in change[part]}
            return join_key([as_text(values[column]) for column in columns])

        op = change["action"]
        if op == "T":
            return (op, *name, "", None)
        if op == "D":
            return (op, *name, key("identity"), None)
        now = key("columns")
        before = key("identity") if op == "U" and "identity" in change else now
        return (op, *name, now, before if before != now else None)


def captured_keys(server):
    """(schema, table) → ((schema, table) in the journal, its key's columns in index order)."""
    captured = {tuple(json.loads(line)) for line in lines(
        server, "SELECT json_build_array(schema_name, table_name) FROM feed.source_table", "verbund_mid")}
    keys = {}
    for line in lines(server, """SELECT json_build_array(n.nspname, c.relname, rn.nspname, rc.relname,
             (SELECT json_agg(a.attname ORDER BY k.place) FROM pg_index i
                CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
                JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum WHERE i.indrelid = c.oid AND i.indisprimary))
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           JOIN pg_class rc ON rc.oid = coalesce(pg_partition_root(c.oid), c.oid) JOIN pg_namespace rn ON rn.oid = rc.relnamespace
          WHERE c.relkind = 'r' AND n.nspname !~ '^(pg_|information_schema)'"""):
        schema, table, root_schema, root_table, columns = json.loads(line)
        # A partition is captured under its own name or under its root's.
        name = next((name for name in ((schema, table), (root_schema, root_table)) if name in captured), None)
        if name and columns:
            keys[schema, table] = (name, columns)
    return keys


def journal(server):
    """The same from the feed's journal, and the csns of all changes."""
    rows = lines(server, """SELECT json_build_array(t.xid, c.csn, c.op, s.schema_name, s.table_name, c.key, c.was_key)
           FROM feed.transaction t JOIN feed.change c ON c.csn BETWEEN t.first_csn AND t.last_csn
           JOIN feed.source_table s ON s.id = c.table_id ORDER BY c.csn""", "verbund_mid")
    found, csns = [], []
    for row in rows:
        xid, csn, op, schema, table, key, was = json.loads(row)
        if not found or found[-1][0] != xid:
            found.append((xid, []))
        found[-1][1].append((op, schema, table, key, was))
        csns.append(csn)
    return found, csns


def without_truncated_rows(events):
    """The journal lists the rows that a TRUNCATE removed before it; the log does not have them."""
    kept = []
    for event in events:
        while event[0] == "T" and kept and kept[-1][:3] == ("D", *event[1:3]):
            kept.pop()
        kept.append(event)
    return kept


def rows_of(server, statements, database=None):
    """Rows of several COPY statements, sorted, each as one list."""
    script = "\n".join(f"COPY ({statement}) TO STDOUT;\n\\echo --end-of-rows--" for statement in statements)
    found = server.sql(script, database).split("--end-of-rows--")
    return [sorted(part.strip("\n").split("\n")) for part in found[:len(statements)]]


def shadow_differences(server):
    """Tables whose shadow does not hold what the source holds; empty: none."""
    tables = [json.loads(line) for line in lines(
        server, "SELECT json_build_array(schema_name, table_name, shadow) FROM feed.source_table ORDER BY id", "verbund_mid")]
    columns = {}
    for line in lines(server, "SELECT json_build_array(n.nspname, c.relname, c.relkind = 'p', json_agg(quote_ident(a.attname) ORDER BY a.attnum))"
                              " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid"
                              " WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND n.nspname !~ '^pg_' GROUP BY c.oid, n.nspname, c.relname"):
        schema, table, partitioned, names = json.loads(line)
        columns[schema, table] = (partitioned, ", ".join(names))

    def ident(*parts):
        return ".".join('"' + part.replace('"', '""') + '"' for part in parts)

    theirs = rows_of(server, [f"SELECT {columns[schema, table][1]} FROM {'' if columns[schema, table][0] else 'ONLY '}{ident(schema, table)}"
                              for schema, table, _ in tables])
    ours = rows_of(server, [f"SELECT {columns[schema, table][1]} FROM {ident('feed', shadow)}" for schema, table, shadow in tables], "verbund_mid")
    return [f"{schema}.{table}: {len(set(a) - set(b))} rows are missing, {len(set(b) - set(a))} are wrong"
            for (schema, table, _), a, b in zip(tables, theirs, ours) if a != b]


def replayed_history(server):
    """(schema, table) → {key: values}: what comes of doing all versions of all records once more, in order."""
    tables = {}
    for line in lines(server, """SELECT json_build_array(op, schema_name, table_name, row_key, coalesce(was_key, row_key), unchanged, after) FROM
             (SELECT DISTINCT ON (v.stream, v.csn, l.schema_name, l.table_name, v.row_key) v.*, l.schema_name, l.table_name
                FROM history.version v JOIN history.layout l ON l.id = v.layout
               ORDER BY v.stream, v.csn, l.schema_name, l.table_name, v.row_key) AS each_change ORDER BY stream, csn""", "SIQVersions"):
        op, schema, table, key, was, unchanged, after = json.loads(line)
        rows = tables.setdefault((schema, table), {})
        old = None if op == "I" else rows.pop(was)
        if op != "D":
            for column in unchanged or []:
                after[column] = old[column]
            rows[key] = after
    return tables


def shadow_rows(server):
    """The same from the shadow tables."""
    tables = {}
    for line in lines(server, "SELECT json_build_array(schema_name, table_name, shadow) FROM feed.source_table", "verbund_mid"):
        schema, table, shadow = json.loads(line)
        rows = {}
        for row in lines(server, f'SELECT row_to_json(r) FROM feed."{shadow}" r', "verbund_mid"):
            values = list(json.loads(row).values())
            rows[values[0]] = values[2:]
        if rows:
            tables[schema, table] = rows
    return tables
