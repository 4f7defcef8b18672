CREATE TABLE `segment_keys` (
	`environment` text NOT NULL,
	`segment` text NOT NULL,
	`kind` text NOT NULL,
	`part` integer NOT NULL,
	`text` text NOT NULL,
	PRIMARY KEY(`environment`, `segment`, `kind`, `part`)
);
--> statement-breakpoint
CREATE TABLE `segment_versions` (
	`environment` text NOT NULL,
	`key` text NOT NULL,
	`version` integer NOT NULL,
	`config` text,
	`at_ms` integer NOT NULL,
	`actor` text NOT NULL,
	PRIMARY KEY(`environment`, `key`, `version`)
);
--> statement-breakpoint
CREATE TABLE `segments` (
	`environment` text NOT NULL,
	`key` text NOT NULL,
	`version` integer NOT NULL,
	`config` text NOT NULL,
	`listed` integer NOT NULL,
	`updated_at_ms` integer NOT NULL,
	PRIMARY KEY(`environment`, `key`)
);
