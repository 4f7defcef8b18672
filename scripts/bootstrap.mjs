// Runs on whatever Node the machine has (tested: 20, 22, 24). Installs the
// locked dependencies when they are missing or stale, then returns.
// Speaks on stderr only: stdout belongs to the command that follows.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";

const hash = createHash("sha256").update(readFileSync("package-lock.json")).digest("hex");
const stamp = "node_modules/.lock-hash";
if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== hash) {
	console.error("[setup] npm ci (first run: about half a minute)");
	// Engine warnings concern the Node that runs npm; the tools run on the locked one.
	const { status, error } = spawnSync("npm", ["ci", "--loglevel=error"], { stdio: ["ignore", 2, 2] });
	if (status !== 0) {
		console.error(
			`[setup] npm ci failed (${error?.message ?? `exit ${status}`}): nothing was started. Fix the cause above, then run again.`,
		);
		process.exit(1);
	}
	writeFileSync(stamp, hash);
}
