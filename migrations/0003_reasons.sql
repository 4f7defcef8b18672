ALTER TABLE `flag_versions` ADD `reason` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `segment_versions` ADD `reason` text DEFAULT '' NOT NULL;
--> statement-breakpoint
UPDATE `flag_versions` SET `reason` = coalesce((SELECT `audit`.`reason` FROM `audit` WHERE `audit`.`resource` = 'flags/' || `flag_versions`.`environment` || '/' || `flag_versions`.`key` AND `audit`.`at_ms` = `flag_versions`.`at_ms` AND `audit`.`actor` = `flag_versions`.`actor` ORDER BY `audit`.`id` LIMIT 1), '');
--> statement-breakpoint
UPDATE `segment_versions` SET `reason` = coalesce((SELECT `audit`.`reason` FROM `audit` WHERE `audit`.`resource` = 'segments/' || `segment_versions`.`environment` || '/' || `segment_versions`.`key` AND `audit`.`at_ms` = `segment_versions`.`at_ms` AND `audit`.`actor` = `segment_versions`.`actor` ORDER BY `audit`.`id` LIMIT 1), '');
