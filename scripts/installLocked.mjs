import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";

const hashOf = (folder) =>
	createHash("sha256")
		.update(readFileSync(`${folder}/package-lock.json`))
		.digest("hex");
const stampOf = (folder) => `${folder}/node_modules/.lock-hash`;

/** Whether a folder has what its own lock says. */
export function isInstalled(folder) {
	return existsSync(stampOf(folder)) && readFileSync(stampOf(folder), "utf8") === hashOf(folder);
}

/** Installs what a folder's own lock says, on first use; false where that is not possible. No install script is run. */
export function installLocked(folder, what) {
	if (isInstalled(folder)) return true;
	process.stderr.write(`[${folder}] npm ci --ignore-scripts: ${what} (first run: about half a minute)\n`);
	const { status } = spawnSync("npm", ["ci", "--ignore-scripts", "--no-fund", "--no-audit", "--loglevel=error"], {
		cwd: folder,
		stdio: ["ignore", 2, 2],
	});
	if (status === 0) writeFileSync(stampOf(folder), hashOf(folder));
	else process.stderr.write(`[${folder}] ${what} could not be installed: skipped\n`);
	return status === 0;
}
