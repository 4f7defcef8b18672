import { installLocked } from "../../scripts/installLocked.mjs";

if (!installLocked("test/clickhouse", "a ClickHouse for the tests of Analytics Engine's SQL")) {
	process.stderr.write("[test:clickhouse] skipped: not installed\n");
	process.exit(1);
}
