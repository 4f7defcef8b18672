DROP TABLE `telemetry_arms`;--> statement-breakpoint
DROP TABLE `telemetry_harms`;--> statement-breakpoint
DROP TABLE `telemetry_totals`;--> statement-breakpoint
DROP TABLE `telemetry_units`;--> statement-breakpoint
CREATE TABLE `telemetry_arms` (
	`rollout` text NOT NULL,
	`stage` integer NOT NULL,
	`metric` text NOT NULL,
	`arm` text NOT NULL,
	`users` integer NOT NULL,
	`requests` integer NOT NULL,
	`requests_squared` integer NOT NULL,
	`sum_of_means` real NOT NULL,
	`sum_of_squared_means` real NOT NULL,
	`sum_of_totals` real NOT NULL,
	`sum_of_squared_totals` real NOT NULL,
	`sum_of_logs` real NOT NULL,
	`sum_of_squared_logs` real NOT NULL,
	`bins` text NOT NULL,
	PRIMARY KEY(`rollout`, `stage`, `metric`, `arm`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `telemetry_epochs` (
	`epoch` integer PRIMARY KEY NOT NULL,
	`closed_at_ms` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `telemetry_harmed` (
	`rollout` text NOT NULL,
	`stage` integer NOT NULL,
	`metric` text NOT NULL,
	`unit` text NOT NULL,
	`signal` text NOT NULL,
	`harms` integer NOT NULL,
	PRIMARY KEY(`rollout`, `stage`, `metric`, `unit`, `signal`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `telemetry_harms` (
	`rollout` text NOT NULL,
	`signal` text NOT NULL,
	`unit` text NOT NULL,
	`arm` text NOT NULL,
	`served` integer NOT NULL,
	`epoch` integer NOT NULL,
	PRIMARY KEY(`rollout`, `signal`, `unit`, `arm`, `served`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE INDEX `telemetry_harms_epoch` ON `telemetry_harms` (`rollout`,`epoch`);--> statement-breakpoint
CREATE TABLE `telemetry_minutes` (
	`environment` text NOT NULL,
	`start_ms` integer NOT NULL,
	`width_ms` integer NOT NULL,
	`flag` text NOT NULL,
	`variant` text NOT NULL,
	`metric` text NOT NULL,
	`requests` integer NOT NULL,
	`sum` real NOT NULL,
	`sum_of_squares` real NOT NULL,
	`bins` text NOT NULL,
	PRIMARY KEY(`width_ms`, `start_ms`, `environment`, `flag`, `variant`, `metric`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `telemetry_scored` (
	`rollout` text NOT NULL,
	`metric` text NOT NULL,
	`unit` text NOT NULL,
	`arm` text NOT NULL,
	`served` integer NOT NULL,
	`first_epoch` integer NOT NULL,
	`tenth_epoch` integer,
	`requests` integer NOT NULL,
	`sum_log` real NOT NULL,
	PRIMARY KEY(`rollout`, `metric`, `unit`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE INDEX `telemetry_scored_first` ON `telemetry_scored` (`rollout`,`first_epoch`);--> statement-breakpoint
CREATE INDEX `telemetry_scored_tenth` ON `telemetry_scored` (`rollout`,`tenth_epoch`) WHERE tenth_epoch IS NOT NULL;--> statement-breakpoint
CREATE TABLE `telemetry_signals` (
	`rollout` text NOT NULL,
	`stage` integer NOT NULL,
	`metric` text NOT NULL,
	`arm` text NOT NULL,
	`signal` text NOT NULL,
	`harmed_users` integer NOT NULL,
	`harms` integer NOT NULL,
	`harms_squared` integer NOT NULL,
	`harms_times_requests` integer NOT NULL,
	`harmed_first` integer NOT NULL,
	PRIMARY KEY(`rollout`, `stage`, `metric`, `arm`, `signal`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `telemetry_system` (
	`environment` text NOT NULL,
	`start_ms` integer NOT NULL,
	`origin` text NOT NULL,
	`metric` text NOT NULL,
	`samples` integer NOT NULL,
	`sum` real NOT NULL,
	`max` real NOT NULL,
	`last` real NOT NULL,
	`last_at_ms` integer NOT NULL,
	PRIMARY KEY(`start_ms`, `environment`, `origin`, `metric`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `telemetry_totals` (
	`rollout` text NOT NULL,
	`epoch` integer NOT NULL,
	`metric` text NOT NULL,
	`arm` text NOT NULL,
	`requests` integer NOT NULL,
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
	`sum` real NOT NULL,
	`sum_log` real NOT NULL,
	PRIMARY KEY(`rollout`, `stage`, `metric`, `unit`)
) WITHOUT ROWID;
--> statement-breakpoint
ALTER TABLE `telemetry_epoch` ADD `aged` integer DEFAULT 0 NOT NULL;
