"""A state directory as another release of modelguard leaves it, made from one that this release has left.

There has been one schema so far (user_version 1), so that both are differences of this one. Older: as the builds before state.bak held the
ledger left it (compared with what such a build writes): the state's rows are not numbered by commit nor tied together, state.bak is the
status alone. Newer, by the rules that a newer release has to follow: another version of schema and backup, a column, a table and rows
more, words and keys that nobody knows yet. Neither daemon may be running.
"""
import hashlib
import json
import sqlite3

NEWER_SCHEMA = 2
UNKNOWN_ROW = ("fleet", '{"name":"north"}')
UNKNOWN_KIND = "quarantined"


def checksum(table, *values):
    fed = "".join(f"{kind}{len(text.encode())}:{text}" for kind, text in
                  [("n", table), *(("i" if isinstance(value, int) else "t", str(value)) for value in values)])
    return hashlib.sha256(fed.encode()).hexdigest()[:16]


def rewrite_row(ledger, key, change):
    """Changes the JSON of a row of the state; returns its checksum."""
    document = json.loads(ledger.execute("SELECT json FROM state WHERE key=?", [key]).fetchone()[0])
    change(document)
    text = json.dumps(document, separators=(",", ":"))
    ledger.execute("UPDATE state SET json=?, checksum=? WHERE key=?", [text, checksum("state", key, text), key])
    return checksum("state", key, text)


def rewrite_backups(state, change):
    for file in state.glob("state.bak.?"):
        line, sums, _ = file.read_text().split("\n")
        document = json.loads(line)
        change(document)
        line = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
        file.write_text(f"{line}\nsha256:{hashlib.sha256(line.encode()).hexdigest()} {sums.split()[1]}\n")


def as_older(state):
    ledger = sqlite3.connect(state / "state.db")

    def unnumbered(device):
        del device["commit"], device["rows"]
    rewrite_row(ledger, "device", unnumbered)
    ledger.commit()
    ledger.close()

    def status_alone(document):
        del document["backup"], document["ledger"]
    rewrite_backups(state, status_alone)


def as_newer(state):
    ledger = sqlite3.connect(state / "state.db")
    ledger.executescript("ALTER TABLE history ADD COLUMN importance INTEGER NOT NULL DEFAULT 0;"
                         "CREATE TABLE fleet(name TEXT PRIMARY KEY, members INTEGER NOT NULL) WITHOUT ROWID;"
                         f"INSERT INTO fleet VALUES('north', 3); PRAGMA user_version={NEWER_SCHEMA};")
    ledger.execute("INSERT INTO state VALUES(?, ?, ?)", [*UNKNOWN_ROW, checksum("state", *UNKNOWN_ROW)])
    model = rewrite_row(ledger, "model/digits", lambda document: document.update(weather="fair"))
    rewrite_row(ledger, "device", lambda document: document["rows"].update({"model/digits": model, UNKNOWN_ROW[0]: checksum("state", *UNKNOWN_ROW)}))
    number, *rest = ledger.execute("SELECT number + 1, wall_usec, boot_id, model, decision FROM history ORDER BY number DESC LIMIT 1").fetchone()
    rest[-1] = json.dumps(dict(json.loads(rest[-1]), kind=UNKNOWN_KIND))
    ledger.execute("INSERT INTO history VALUES(?, ?, ?, ?, ?, ?, 7)", [number, *rest, checksum("history", number, *rest)])
    timer = ["digits", "full_moon", 10**12, 0, rest[1], 0]
    ledger.execute("INSERT INTO timers VALUES(?, ?, ?, ?, ?, ?, ?)", [*timer, checksum("timers", *timer)])
    ledger.commit()
    ledger.close()
    rewrite_backups(state, lambda document: document["ledger"].update(format=NEWER_SCHEMA))


def lost_of_newer(state):
    """What as_newer() wrote and is not there any more."""
    ledger = sqlite3.connect(state / "state.db")
    wanted = {"the schema's version": ("PRAGMA user_version", NEWER_SCHEMA),
              "the table": ("SELECT members FROM fleet WHERE name='north'", 3),
              "the row of the state": ("SELECT json FROM state WHERE key='fleet'", UNKNOWN_ROW[1]),
              "the entry of the history": ("SELECT count(*) FROM history WHERE importance=7", 1),
              "the timer": ("SELECT count(*) FROM timers WHERE timer='full_moon'", 1)}
    lost = []
    for what, (sql, value) in wanted.items():
        try:
            found = (ledger.execute(sql).fetchone() or [None])[0]
        except sqlite3.Error as error:
            found = str(error)
        if found != value:
            lost.append(f"{what} ({found})")
    ledger.close()
    return lost
