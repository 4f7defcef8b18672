import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";

const stamp = "bench/node_modules/.lock-hash";

/** Installs what bench/package-lock.json locks, on first use; false where that is not possible. No install script is run. */
export function arePeersInstalled() {
	const hash = createHash("sha256").update(readFileSync("bench/package-lock.json")).digest("hex");
	if (existsSync(stamp) && readFileSync(stamp, "utf8") === hash) return true;
	process.stderr.write("[bench] npm ci --ignore-scripts in bench/: the peers (first run: about half a minute)\n");
	const { status } = spawnSync("npm", ["ci", "--ignore-scripts", "--no-fund", "--no-audit", "--loglevel=error"], {
		cwd: "bench",
		stdio: ["ignore", 2, 2],
	});
	if (status === 0) writeFileSync(stamp, hash);
	else process.stderr.write("[bench] the peers could not be installed: they are skipped\n");
	return status === 0;
}
