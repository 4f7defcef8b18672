CREATE TABLE `active_flags` (
	`environment` text NOT NULL,
	`flag` text NOT NULL,
	`rollout` text NOT NULL,
	PRIMARY KEY(`environment`, `flag`)
);
--> statement-breakpoint
CREATE TABLE `audit` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`at_ms` integer NOT NULL,
	`actor` text NOT NULL,
	`resource` text NOT NULL,
	`action` text NOT NULL,
	`reason` text NOT NULL,
	`correlation_id` text NOT NULL,
	`before` text,
	`after` text
);
--> statement-breakpoint
CREATE INDEX `audit_resource` ON `audit` (`resource`,`id`);--> statement-breakpoint
CREATE TABLE `environments` (
	`name` text PRIMARY KEY NOT NULL,
	`changed` integer NOT NULL,
	`changed_at_ms` integer NOT NULL,
	`version` integer NOT NULL,
	`digest` text NOT NULL,
	`published_at_ms` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `flag_versions` (
	`environment` text NOT NULL,
	`key` text NOT NULL,
	`version` integer NOT NULL,
	`config` text,
	`at_ms` integer NOT NULL,
	`actor` text NOT NULL,
	PRIMARY KEY(`environment`, `key`, `version`)
);
--> statement-breakpoint
CREATE TABLE `flags` (
	`environment` text NOT NULL,
	`key` text NOT NULL,
	`version` integer NOT NULL,
	`config` text NOT NULL,
	`updated_at_ms` integer NOT NULL,
	PRIMARY KEY(`environment`, `key`)
);
--> statement-breakpoint
CREATE TABLE `head` (
	`id` integer PRIMARY KEY NOT NULL,
	`revision` integer NOT NULL,
	`content` integer NOT NULL,
	`kv` integer NOT NULL,
	`kv_put_at_ms` integer NOT NULL,
	`guarded_at_ms` integer NOT NULL,
	`last_tick_ms` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `health_checks` (
	`rollout` text NOT NULL,
	`at_ms` integer NOT NULL,
	`decision` text NOT NULL,
	`reason` text NOT NULL,
	`message` text NOT NULL,
	`level` text NOT NULL,
	`percent` real NOT NULL,
	`judgement` text,
	PRIMARY KEY(`rollout`, `at_ms`)
);
--> statement-breakpoint
CREATE TABLE `outbox` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`at_ms` integer NOT NULL,
	`type` text NOT NULL,
	`subject` text NOT NULL,
	`payload` text NOT NULL
);
--> statement-breakpoint
CREATE TABLE `overlays` (
	`environment` text NOT NULL,
	`kind` text NOT NULL,
	`key` text NOT NULL,
	`changed` integer NOT NULL,
	`added_at_ms` integer NOT NULL,
	PRIMARY KEY(`environment`, `kind`, `key`)
);
--> statement-breakpoint
CREATE TABLE `rollout_events` (
	`rollout` text NOT NULL,
	`revision` integer NOT NULL,
	`at_ms` integer NOT NULL,
	`recorded_at_ms` integer NOT NULL,
	`kind` text NOT NULL,
	`reason` text NOT NULL,
	`message` text NOT NULL,
	`actor` text NOT NULL,
	`correlation_id` text NOT NULL,
	`before` text NOT NULL,
	`after` text NOT NULL,
	`evidence` text,
	PRIMARY KEY(`rollout`, `revision`)
);
--> statement-breakpoint
CREATE TABLE `rollouts` (
	`id` text PRIMARY KEY NOT NULL,
	`environment` text NOT NULL,
	`name` text NOT NULL,
	`attempt` integer NOT NULL,
	`plan` text NOT NULL,
	`status` text NOT NULL,
	`revision` integer NOT NULL,
	`state` text NOT NULL,
	`ticked_at_ms` integer NOT NULL,
	`created_at_ms` integer NOT NULL,
	`started_at_ms` integer
);
--> statement-breakpoint
CREATE INDEX `rollouts_status` ON `rollouts` (`status`);--> statement-breakpoint
CREATE INDEX `rollouts_environment` ON `rollouts` (`environment`,`created_at_ms`);--> statement-breakpoint
CREATE TABLE `sdk_keys` (
	`id` text PRIMARY KEY NOT NULL,
	`hash` text NOT NULL,
	`environment` text NOT NULL,
	`kind` text NOT NULL,
	`name` text NOT NULL,
	`created_at_ms` integer NOT NULL,
	`revoked_at_ms` integer
);
--> statement-breakpoint
CREATE UNIQUE INDEX `sdk_keys_hash_unique` ON `sdk_keys` (`hash`);--> statement-breakpoint
CREATE TABLE `tokens` (
	`name` text PRIMARY KEY NOT NULL,
	`hash` text NOT NULL,
	`created_at_ms` integer NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `tokens_hash_unique` ON `tokens` (`hash`);--> statement-breakpoint
CREATE TABLE `telemetry_arms` (
	`rollout` text NOT NULL,
	`stage` integer NOT NULL,
	`metric` text NOT NULL,
	`arm` text NOT NULL,
	`users` integer NOT NULL,
	`harmed_users` integer NOT NULL,
	`requests` integer NOT NULL,
	`harms` integer NOT NULL,
	`harms_squared` real NOT NULL,
	`harms_times_requests` real NOT NULL,
	`requests_squared` real NOT NULL,
	`sum_of_means` real NOT NULL,
	`sum_of_squared_means` real NOT NULL,
	`harmed_first` integer NOT NULL,
	PRIMARY KEY(`rollout`, `stage`, `metric`, `arm`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `telemetry_epoch` (
	`id` integer PRIMARY KEY NOT NULL,
	`epoch` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `telemetry_event_ids` (
	`environment` text NOT NULL,
	`id` text NOT NULL,
	`at_ms` integer NOT NULL,
	PRIMARY KEY(`environment`, `id`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `telemetry_exposed` (
	`rollout` text NOT NULL,
	`epoch` integer NOT NULL,
	`arm` text NOT NULL,
	`served` integer NOT NULL,
	`units` integer NOT NULL,
	PRIMARY KEY(`rollout`, `epoch`, `arm`, `served`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `telemetry_exposures` (
	`rollout` text NOT NULL,
	`unit` text NOT NULL,
	PRIMARY KEY(`rollout`, `unit`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `telemetry_harms` (
	`rollout` text NOT NULL,
	`metric` text NOT NULL,
	`unit` text NOT NULL,
	`arm` text NOT NULL,
	`served` integer NOT NULL,
	`epoch` integer NOT NULL,
	PRIMARY KEY(`rollout`, `metric`, `unit`, `arm`, `served`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE INDEX `telemetry_harms_epoch` ON `telemetry_harms` (`rollout`,`epoch`);--> statement-breakpoint
CREATE TABLE `telemetry_totals` (
	`rollout` text NOT NULL,
	`epoch` integer NOT NULL,
	`metric` text NOT NULL,
	`arm` text NOT NULL,
	`requests` integer NOT NULL,
	`harms` integer NOT NULL,
	`sum` real NOT NULL,
	PRIMARY KEY(`rollout`, `epoch`, `metric`, `arm`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `telemetry_units` (
	`rollout` text NOT NULL,
	`stage` integer NOT NULL,
	`metric` text NOT NULL,
	`unit` text NOT NULL,
	`arm` text NOT NULL,
	`requests` integer NOT NULL,
	`harms` integer NOT NULL,
	`sum` real NOT NULL,
	`harmed_first` integer NOT NULL,
	PRIMARY KEY(`rollout`, `stage`, `metric`, `unit`)
) WITHOUT ROWID;
--> statement-breakpoint
INSERT INTO `environments` (`name`, `changed`, `changed_at_ms`, `version`, `digest`, `published_at_ms`) VALUES ('production', 1, 0, 0, '', 0), ('staging', 1, 0, 0, '', 0);
--> statement-breakpoint
INSERT INTO `head` (`id`, `revision`, `content`, `kv`, `kv_put_at_ms`, `guarded_at_ms`, `last_tick_ms`) VALUES (1, 1, 1, 0, 0, 0, 0);
--> statement-breakpoint
INSERT INTO `telemetry_epoch` (`id`, `epoch`) VALUES (1, 1);
