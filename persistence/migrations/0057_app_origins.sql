-- The origins of an app's redirect URIs, by which its pages are known (services/apps/origins.py): scheme, host and port as a browser writes
-- them, so without a port that goes without saying.
ALTER TABLE apps ADD COLUMN origins text[] NOT NULL DEFAULT '{}';

UPDATE apps
SET origins = ARRAY(
    SELECT DISTINCT regexp_replace(regexp_replace(substring(uri FROM '^https?://[^/]+'), '^(https://.+):443$', '\1'), '^(http://.+):80$', '\1')
    FROM unnest(redirect_uris) AS uri
);

CREATE INDEX apps_by_origin ON apps USING gin (origins);
