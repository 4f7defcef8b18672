CREATE TABLE `telemetry_ingest` (
	`id` integer PRIMARY KEY NOT NULL,
	`fresh` integer NOT NULL,
	`settled` integer NOT NULL
);
