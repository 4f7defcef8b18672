import { mkdirSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";

/** A Worker's one module, built as for deployment. `result.text`, and esbuild's metafile for who wants to know what is in it. */
export async function buildWorker(entry, change = {}) {
	const { outputFiles, metafile } = await build({
		entryPoints: [entry],
		bundle: true,
		format: "esm",
		target: "es2024",
		write: false,
		metafile: true,
		conditions: ["workerd", "worker", "browser"],
		mainFields: ["module", "main"],
		external: ["cloudflare:*", "node:*"],
		logLevel: "error",
		...change,
	});
	return { text: outputFiles[0].text, metafile };
}

/** The product's own code for Node, whose imports name no file extensions. Kept as a file, so that a profile names lines. */
export async function buildTidegate() {
	const { text } = await buildWorker("bench/tidegate.ts", { platform: "node", conditions: [] });
	mkdirSync(".tmp/bench", { recursive: true });
	const path = resolve(".tmp/bench/tidegate.mjs");
	writeFileSync(path, text);
	return path;
}

export const loadTidegate = async () => import(pathToFileURL(await buildTidegate()).href);
