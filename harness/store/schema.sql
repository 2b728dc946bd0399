CREATE TABLE samples (
  task TEXT NOT NULL, id TEXT NOT NULL, cluster TEXT NOT NULL, body TEXT NOT NULL,
  PRIMARY KEY (task, id)
) WITHOUT ROWID;
CREATE TABLE responses (
  key BLOB NOT NULL, sample_index INTEGER NOT NULL, text TEXT NOT NULL, finish TEXT NOT NULL,
  token_ids BLOB, logprobs BLOB, prompt_tokens INTEGER NOT NULL, error TEXT NOT NULL,
  PRIMARY KEY (key, sample_index)
) WITHOUT ROWID;
CREATE TABLE cells (
  id INTEGER PRIMARY KEY, model TEXT NOT NULL, task TEXT NOT NULL, protocol TEXT NOT NULL, judge TEXT NOT NULL,
  result TEXT,
  UNIQUE (model, task, protocol, judge)
);
CREATE TABLE verdicts (
  cell INTEGER NOT NULL REFERENCES cells(id) ON DELETE CASCADE, position INTEGER NOT NULL, sample_id TEXT NOT NULL,
  key BLOB NOT NULL, state TEXT NOT NULL, score REAL NOT NULL, extracted TEXT NOT NULL, rule TEXT NOT NULL,
  random INTEGER NOT NULL, note TEXT NOT NULL,
  PRIMARY KEY (cell, position)
) WITHOUT ROWID;
CREATE TABLE units (
  cell INTEGER NOT NULL REFERENCES cells(id) ON DELETE CASCADE, position INTEGER NOT NULL, id TEXT NOT NULL,
  cluster TEXT NOT NULL, score REAL NOT NULL, weight REAL NOT NULL,
  PRIMARY KEY (cell, position)
) WITHOUT ROWID;
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
