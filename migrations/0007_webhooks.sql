CREATE TABLE `webhook_deliveries` (
	`webhook` text NOT NULL,
	`event` integer NOT NULL,
	`subject` text NOT NULL,
	`status` text NOT NULL,
	`attempts` integer NOT NULL,
	`due_at_ms` integer NOT NULL,
	`since_ms` integer NOT NULL,
	`error` text,
	`settled_at_ms` integer,
	PRIMARY KEY(`webhook`, `event`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE INDEX `webhook_deliveries_pending` ON `webhook_deliveries` (`webhook`,`subject`,`event`) WHERE status = 'pending';--> statement-breakpoint
CREATE INDEX `webhook_deliveries_status` ON `webhook_deliveries` (`webhook`,`status`,`settled_at_ms`);--> statement-breakpoint
CREATE TABLE `webhooks` (
	`id` text PRIMARY KEY NOT NULL,
	`url` text NOT NULL,
	`events` text NOT NULL,
	`environment` text,
	`description` text NOT NULL,
	`secrets` text NOT NULL,
	`disabled` text,
	`cursor` integer NOT NULL,
	`revision` integer NOT NULL,
	`created_at_ms` integer NOT NULL,
	`updated_at_ms` integer NOT NULL
);
