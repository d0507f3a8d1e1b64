-- The room that the cache takes, and what a page that is older than the one at hand is known by.

-- The upstream's own count of changes (X-PyPI-Last-Serial); NULL where it tells none.
ALTER TABLE pages ADD COLUMN serial INTEGER;
-- Bytes of its detail, which is not read to add them up.
ALTER TABLE pages ADD COLUMN size INTEGER NOT NULL DEFAULT 0;
UPDATE pages SET size = coalesce((SELECT length(detail) FROM page_details WHERE page_id = pages.id), 0);

CREATE INDEX pages_by_age ON pages (checked_at);
CREATE INDEX files_by_core_metadata ON files (core_metadata) WHERE core_metadata IS NOT NULL;

-- What published files name: their bytes and, after them, their core metadata. The least `place` is the oldest file's.
CREATE VIEW published_blobs AS
SELECT sha256, project_id, name, filename, 2 * id AS place FROM files
UNION ALL
SELECT core_metadata, project_id, name, filename || '.metadata', 2 * id + 1 FROM files WHERE core_metadata IS NOT NULL;

-- What may be evicted, and takes the cache's room. (SQLite would read the view above whole to ask it for one digest.)
CREATE VIEW evictable_blobs AS
SELECT sha256, size, used_at FROM cached_blobs
WHERE NOT EXISTS (SELECT 1 FROM files WHERE files.sha256 = cached_blobs.sha256)
  AND NOT EXISTS (SELECT 1 FROM files WHERE files.core_metadata = cached_blobs.sha256);
