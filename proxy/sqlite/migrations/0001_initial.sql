-- Times are microseconds since 1970-01-01T00:00Z. Ids are never given twice: clients of the packages API keep them.
-- A file repeats its release's project_id and name so that one index answers "who holds this name?".

CREATE TABLE releases (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  project_id INTEGER NOT NULL,
  name TEXT NOT NULL CHECK (name <> ''),
  raw_name TEXT NOT NULL,
  raw_version TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  -- What the last upload's form said; GitLab keeps these with the release, not with each file.
  requires_python TEXT NOT NULL,
  metadata_version TEXT NOT NULL,
  author_email TEXT NOT NULL,
  summary TEXT NOT NULL,
  description TEXT NOT NULL,
  description_content_type TEXT NOT NULL,
  keywords TEXT NOT NULL,
  UNIQUE (project_id, raw_name, raw_version)
) STRICT;

-- Lists look through whole projects: this holds all that they filter and order by, without the long texts.
CREATE INDEX releases_by_project ON releases (project_id, name, raw_name, raw_version, created_at);

CREATE TABLE files (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  release_id INTEGER NOT NULL REFERENCES releases (id) ON DELETE CASCADE,
  project_id INTEGER NOT NULL,
  name TEXT NOT NULL CHECK (name <> ''),
  filename TEXT NOT NULL CHECK (filename <> ''),
  kind TEXT NOT NULL CHECK (kind <> ''),
  sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
  blake2b TEXT NOT NULL,
  md5 TEXT NOT NULL,
  size INTEGER NOT NULL CHECK (size >= 0),
  requires_python TEXT NOT NULL,
  core_metadata TEXT CHECK (length(core_metadata) = 64),
  attestations TEXT,
  uploaded_at INTEGER NOT NULL,
  published_by TEXT NOT NULL,
  yanked TEXT, -- NULL: not yanked; else the reason, perhaps empty
  UNIQUE (project_id, filename)
) STRICT;

CREATE INDEX files_by_release ON files (release_id);
CREATE INDEX files_by_name ON files (name, project_id);
CREATE INDEX files_by_project ON files (project_id, name);
CREATE INDEX files_by_sha256 ON files (sha256);

-- A file as pages and routes show it.
CREATE VIEW local_files AS
SELECT
  files.id, files.release_id, files.project_id, files.name, releases.raw_name, releases.raw_version,
  files.filename, files.kind, files.sha256, files.blake2b, files.md5, files.size, files.requires_python,
  files.core_metadata, files.attestations IS NOT NULL AS has_provenance, files.uploaded_at, files.published_by,
  files.yanked
FROM files JOIN releases ON releases.id = files.release_id;

-- Apart from the releases, which SQLite would rewrite whole on each download.
CREATE TABLE release_downloads (
  release_id INTEGER PRIMARY KEY REFERENCES releases (id) ON DELETE CASCADE,
  last_downloaded_at INTEGER NOT NULL
) STRICT;

-- A release as lists show it. Subqueries rather than joins: what a statement does not ask for is not looked up.
CREATE VIEW local_releases AS
SELECT
  releases.*,
  CASE
    WHEN EXISTS (
      SELECT 1 FROM project_status
      WHERE project_status.name = releases.name
        AND project_status.project_id = releases.project_id
        AND project_status.status = 'deprecated'
    ) THEN 'deprecated'
    ELSE 'default'
  END AS status,
  (SELECT last_downloaded_at FROM release_downloads WHERE release_id = releases.id) AS last_downloaded_at
FROM releases;

-- Names that a top-level group holds or once held. A claim outlives its files.
CREATE TABLE claims (
  root_id INTEGER NOT NULL,
  name TEXT NOT NULL CHECK (name <> ''),
  PRIMARY KEY (root_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE project_status (
  name TEXT NOT NULL CHECK (name <> ''),
  project_id INTEGER NOT NULL,
  status TEXT NOT NULL CHECK (status <> ''),
  reason TEXT,
  PRIMARY KEY (name, project_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE pages (
  id INTEGER PRIMARY KEY,
  upstream TEXT NOT NULL,
  name TEXT NOT NULL,
  etag TEXT,
  last_modified TEXT,
  links TEXT NOT NULL,
  checked_at INTEGER NOT NULL,
  UNIQUE (upstream, name)
) STRICT;

-- Apart from its facts: a confirmed page changes `checked_at` alone, and SQLite rewrites a changed row whole.
CREATE TABLE page_details (
  page_id INTEGER PRIMARY KEY REFERENCES pages (id) ON DELETE CASCADE,
  detail BLOB NOT NULL
) STRICT;

-- What was read out of wheels whose upstream offers no core metadata.
CREATE TABLE core_metadata (
  upstream TEXT NOT NULL,
  name TEXT NOT NULL,
  wheel TEXT NOT NULL CHECK (length(wheel) = 64),
  metadata TEXT NOT NULL CHECK (length(metadata) = 64),
  PRIMARY KEY (upstream, name, wheel)
) STRICT, WITHOUT ROWID;

CREATE TABLE cached_blobs (
  sha256 TEXT PRIMARY KEY NOT NULL CHECK (length(sha256) = 64),
  size INTEGER NOT NULL CHECK (size >= 0),
  stored_at INTEGER NOT NULL,
  used_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX cached_blobs_by_use ON cached_blobs (used_at);

-- Tokens made by command; the config file's are not here. A revoked one stays, and gives its name free.
CREATE TABLE tokens (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL CHECK (name <> ''),
  kind TEXT NOT NULL CHECK (kind IN ('personal', 'deploy', 'job')),
  username TEXT NOT NULL,
  sha256 TEXT NOT NULL UNIQUE CHECK (length(sha256) = 64),
  scopes TEXT NOT NULL CHECK (json_type(scopes) = 'array'),
  access TEXT NOT NULL CHECK (json_type(access) = 'object'), -- path to role
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  revoked_at INTEGER
) STRICT;

CREATE UNIQUE INDEX tokens_by_name ON tokens (name) WHERE revoked_at IS NULL;

-- One row from the day on that there was a token, here or in the config: callers without one no longer publish unasked.
CREATE TABLE known_tokens (
  id INTEGER PRIMARY KEY CHECK (id = 1)
) STRICT;

-- One row, counted up by each probe.
CREATE TABLE probes (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  count INTEGER NOT NULL
) STRICT;
