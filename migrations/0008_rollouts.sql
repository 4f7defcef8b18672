CREATE TABLE `check_reports` (
	`environment` text NOT NULL,
	`name` text NOT NULL,
	`status` text NOT NULL,
	`detail` text NOT NULL,
	`actor` text NOT NULL,
	`at_ms` integer NOT NULL,
	PRIMARY KEY(`environment`, `name`)
);
--> statement-breakpoint
CREATE TABLE `check_results` (
	`rollout` text NOT NULL,
	`stage` integer NOT NULL,
	`name` text NOT NULL,
	`status` text NOT NULL,
	`message` text NOT NULL,
	`critical` integer NOT NULL,
	`attempts` integer NOT NULL,
	`duration_ms` integer NOT NULL,
	`at_ms` integer NOT NULL,
	PRIMARY KEY(`rollout`, `stage`, `name`)
);
--> statement-breakpoint
CREATE TABLE `edges` (
	`isolate` text PRIMARY KEY NOT NULL,
	`colo` text NOT NULL,
	`revision` integer NOT NULL,
	`seen_at_ms` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `edges_seen` ON `edges` (`seen_at_ms`);--> statement-breakpoint
CREATE TABLE `environment_settings` (
	`environment` text PRIMARY KEY NOT NULL,
	`version` integer NOT NULL,
	`config` text NOT NULL,
	`breaker_reset_at_ms` integer DEFAULT 0 NOT NULL,
	`updated_at_ms` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `rollbacks` (
	`rollout` text NOT NULL,
	`revision` integer NOT NULL,
	`environment` text NOT NULL,
	`strategy` text NOT NULL,
	`trigger` text NOT NULL,
	`actor` text NOT NULL,
	`at_ms` integer NOT NULL,
	`recorded_at_ms` integer NOT NULL,
	`detect_ms` integer,
	`head_revision` integer NOT NULL,
	`edge_safe_at_ms` integer,
	`steps` text NOT NULL,
	`due_at_ms` integer,
	`verified_at_ms` integer,
	`failure` text,
	PRIMARY KEY(`rollout`, `revision`)
);
--> statement-breakpoint
CREATE INDEX `rollbacks_environment` ON `rollbacks` (`environment`,`recorded_at_ms`);--> statement-breakpoint
CREATE INDEX `rollbacks_due` ON `rollbacks` (`due_at_ms`);--> statement-breakpoint
ALTER TABLE `rollout_events` ADD `idempotency_key` text;--> statement-breakpoint
CREATE UNIQUE INDEX `rollout_events_idempotency` ON `rollout_events` (`rollout`,`idempotency_key`) WHERE idempotency_key IS NOT NULL;--> statement-breakpoint
ALTER TABLE `rollouts` ADD `author` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `tokens` ADD `role` text DEFAULT 'admin' NOT NULL;--> statement-breakpoint
ALTER TABLE `tokens` ADD `environment` text;--> statement-breakpoint
ALTER TABLE `tokens` ADD `revoked_at_ms` integer;