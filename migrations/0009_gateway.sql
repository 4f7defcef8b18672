CREATE TABLE `compare_days` (
	`environment` text NOT NULL,
	`subject` text NOT NULL,
	`day` text NOT NULL,
	`queries` integer NOT NULL,
	`discrepancies` integer NOT NULL,
	`errors` integer NOT NULL,
	`legacy_ms` real NOT NULL,
	`candidate_ms` real NOT NULL,
	`timed` integer NOT NULL,
	`phase` text NOT NULL,
	PRIMARY KEY(`environment`, `subject`, `day`)
);
--> statement-breakpoint
CREATE TABLE `compare_samples` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`environment` text NOT NULL,
	`subject` text NOT NULL,
	`day` text NOT NULL,
	`at_ms` integer NOT NULL,
	`sample` text NOT NULL
);
--> statement-breakpoint
CREATE INDEX `compare_samples_day` ON `compare_samples` (`environment`,`subject`,`day`);--> statement-breakpoint
CREATE TABLE `gateway_protections` (
	`environment` text NOT NULL,
	`key` text NOT NULL,
	`config` text NOT NULL,
	`until_ms` integer NOT NULL,
	`updated_at_ms` integer NOT NULL,
	PRIMARY KEY(`environment`, `key`)
);
--> statement-breakpoint
CREATE TABLE `gateway_routes` (
	`environment` text NOT NULL,
	`key` text NOT NULL,
	`version` integer NOT NULL,
	`host` text NOT NULL,
	`config` text NOT NULL,
	`updated_at_ms` integer NOT NULL,
	PRIMARY KEY(`environment`, `key`)
);
--> statement-breakpoint
CREATE INDEX `gateway_routes_host` ON `gateway_routes` (`host`);