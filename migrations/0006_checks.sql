CREATE TABLE `environment_checks` (
	`environment` text NOT NULL,
	`at_ms` integer NOT NULL,
	`level` text NOT NULL,
	`score` integer,
	`findings` text NOT NULL,
	PRIMARY KEY(`environment`, `at_ms`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `metric_definitions` (
	`environment` text NOT NULL,
	`key` text NOT NULL,
	`config` text NOT NULL,
	`updated_at_ms` integer NOT NULL,
	PRIMARY KEY(`environment`, `key`)
) WITHOUT ROWID;
--> statement-breakpoint
ALTER TABLE `health_checks` ADD `score` integer;--> statement-breakpoint
ALTER TABLE `rollouts` ADD `failed_changes` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
CREATE INDEX `outbox_type` ON `outbox` (`type`,`at_ms`);--> statement-breakpoint
CREATE INDEX `rollout_events_kind` ON `rollout_events` (`kind`,`at_ms`);
--> statement-breakpoint
-- Snapshots say what is harm from now on: all are published anew.
UPDATE environments SET changed = changed + 1 WHERE version > 0;
