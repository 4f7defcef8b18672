CREATE TABLE `bodies` (
	`environment` text NOT NULL,
	`version` integer NOT NULL,
	`part` integer NOT NULL,
	`text` text NOT NULL,
	PRIMARY KEY(`environment`, `version`, `part`)
);
