#!/usr/bin/env node
// The CLI is TypeScript, and Node 20 reads none: its own sources are bundled here, in some 50 ms, and then run. Packages stay
// where npm has put them.
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";

// Node 20 lacks it, and core groups by it.
Map.groupBy ??= (items, keyOf) => {
	const groups = new Map();
	let index = 0;
	for (const item of items) {
		const key = keyOf(item, index++);
		groups.set(key, [...(groups.get(key) ?? []), item]);
	}
	return groups;
};

const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

async function bundled() {
	const { build } = await import("esbuild");
	const { outputFiles } = await build({
		entryPoints: [at("cli/process.ts")],
		absWorkingDir: at("."),
		bundle: true,
		packages: "external",
		platform: "node",
		format: "esm",
		target: "node20",
		write: false,
		logLevel: "error",
	});
	return outputFiles[0].text;
}

/** Beside the packages that it imports. Two that start at once write the same. */
function kept(code) {
	const folder = at("node_modules/.cache/tidegate");
	const file = `${folder}/cli.mjs`;
	if (readIfThere(file) === code) return file;
	mkdirSync(folder, { recursive: true });
	writeFileSync(`${file}.${process.pid}`, code);
	renameSync(`${file}.${process.pid}`, file);
	return file;
}

function readIfThere(file) {
	try {
		return readFileSync(file, "utf8");
	} catch {
		return undefined;
	}
}

try {
	await import(pathToFileURL(kept(await bundled())).href);
} catch (error) {
	const isMissing = error?.code === "ERR_MODULE_NOT_FOUND";
	console.error(isMissing ? `tidegate: a package is missing (${error.message}). Run npm ci in ${at(".")} first.` : error);
	process.exitCode = 1;
}
