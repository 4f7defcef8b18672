// The layers of CONTRIBUTING.md hold only while their guards fire: each guard is shown an offence here.
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../..");
const KIB = 1024;
const edgeGzipKibMax = 30;

const trees: string[] = [];
afterAll(() => trees.forEach((tree) => rmSync(tree, { recursive: true, force: true })));

/** A copy of the project's configuration with these files in it; outside the repository, whose .gitignore would hide it from the linter. */
function plant(files: Record<string, string>): string {
	const tree = mkdtempSync(join(tmpdir(), "tidegate-layering-"));
	trees.push(tree);
	const configs = [".oxlintrc.json", "tsconfig.base.json", "tsconfig.json", "tsconfig.node.json", "core/tsconfig.json"];
	mkdirSync(join(tree, "core"));
	for (const config of configs) copyFileSync(join(root, config), join(tree, config));
	symlinkSync(join(root, "node_modules"), join(tree, "node_modules"));
	writeFileSync(join(tree, ".gitignore"), "node_modules\n");
	for (const [path, text] of Object.entries(files)) {
		mkdirSync(dirname(join(tree, path)), { recursive: true });
		writeFileSync(join(tree, path), text);
	}
	return tree;
}

function run(tool: string, args: string[], cwd: string): string {
	const { stdout, stderr, error } = spawnSync(join(root, "node_modules/.bin", tool), args, { cwd, encoding: "utf8", timeout: 60_000 });
	if (error) throw error;
	return stdout + stderr;
}

describe("lint refuses", () => {
	const imports = "no-restricted-imports";
	const globals = "no-restricted-globals";
	const bare = (module: string) => `import * as thing from "${module}";\nexport const it = thing;\n`;
	const call = (expression: string) => `export const it = (): unknown => ${expression};\n`;
	const neighbours = {
		"core/flags/model.ts": `import * as z from "zod";\n\nexport const flag = z.string();\nexport type Flag = z.infer<typeof flag>;\n`,
		"worker/keys.ts": "export const keys = 1;\n",
		"control/index.ts": "export const control = 1;\n",
	};
	const offences: [what: string, path: string, text: string, rule: string][] = [
		["drizzle in core", "core/a/drizzle.ts", bare("drizzle-orm"), imports],
		["hono in core", "core/a/hono.ts", bare("hono"), imports],
		["node in core", "core/a/node.ts", bare("node:crypto"), imports],
		["a Workers module in core", "core/a/workers.ts", bare("cloudflare:workers"), imports],
		["the edge in core", "core/a/edge.ts", bare("../../worker/keys"), imports],
		["control in core", "core/a/control.ts", bare("../../control"), imports],
		["the clock in core", "core/a/now.ts", call("Date.now()"), globals],
		["a date of now in core", "core/a/date.ts", call("new Date()"), globals],
		["the monotonic clock in core", "core/a/performance.ts", call("performance.now()"), globals],
		["randomness in core", "core/a/random.ts", call("Math.random()"), "no-restricted-properties"],
		["crypto in core", "core/a/crypto.ts", call("crypto.randomUUID()"), globals],
		["fetch in core", "core/a/fetch.ts", call('fetch("https://example.com")'), globals],
		["console in core", "core/a/console.ts", call('console.error("x")'), globals],
		["globalThis in core", "core/a/globalThis.ts", call("globalThis"), globals],
		["zod at the edge", "worker/zod.ts", bare("zod"), imports],
		["zod/mini at the edge", "worker/zodMini.ts", bare("zod/mini"), imports],
		["zod at the edge, imported late", "worker/zodLate.ts", call('import("zod")'), imports],
		["drizzle at the edge", "worker/drizzle.ts", bare("drizzle-orm/d1"), imports],
		["control at the edge", "worker/control.ts", bare("../control"), imports],
		["control deeper at the edge", "worker/gateway/control.ts", bare("../../control/index"), imports],
		["a flag's schema at the edge", "worker/model.ts", bare("../core/flags/model"), imports],
		["a flag's schema at the edge, by file name", "worker/modelFile.ts", bare("../core/flags/model.ts"), imports],
		["a plan's schema at the edge", "worker/gateway/plan.ts", bare("../../core/rollouts/plan"), imports],
		["a criterion's schema at the edge", "worker/criteria.ts", bare("../core/health/criteria"), imports],
		["the edge in control", "control/edge.ts", bare("../worker"), imports],
		["the edge deeper in control", "control/api/edge.ts", bare("../../worker/keys"), imports],
		["control in the CLI", "cli/control.ts", bare("../control"), imports],
		["the edge deeper in the CLI", "cli/commands/edge.ts", bare("../../worker/keys"), imports],
		...["core/a", "worker", "control", "cli", "test/workers", "test/unit", "test/integration"].map(
			(folder): [string, string, string, string] => [
				`a promise nobody awaits in ${folder}`,
				`${folder}/floating.ts`,
				"export function start(work: Promise<void>): void {\n\twork;\n}\n",
				"no-floating-promises",
			],
		),
		[
			"a promise nobody awaits in scripts",
			"scripts/floating.mjs",
			"export function start() {\n\tPromise.resolve();\n}\n",
			"no-floating-promises",
		],
	];
	const clean: Record<string, string> = {
		...neighbours,
		"core/b/clean.ts":
			'import type { Flag } from "../flags/model";\n\nexport const late = (flag: Flag, now: number): boolean => flag.length > now;\n',
		"worker/clean.ts":
			'import { late } from "../core/b/clean";\nimport type { Flag } from "../core/flags/model";\n\nexport const answer = (flag: Flag): boolean => late(flag, Date.now());\n',
		"control/clean.ts":
			'import { count } from "drizzle-orm";\nimport * as z from "zod";\nimport { flag } from "../core/flags/model";\n\nexport const body = z.object({ flag });\nexport const rows = count();\n',
		"cli/clean.ts": 'import { late } from "../core/b/clean";\n\nexport const answer = (text: string): boolean => late(text, Date.now());\n',
		"scripts/clean.mjs": 'console.log("ready");\n',
	};
	/** Rules that fired, by file. */
	const fired = new Map<string, string[]>();

	beforeAll(() => {
		const tree = plant({ ...clean, ...Object.fromEntries(offences.map(([, path, text]) => [path, text])) });
		const { diagnostics } = JSON.parse(run("oxlint", ["--format=json"], tree)) as { diagnostics: { filename: string; code: string }[] };
		for (const { filename, code } of diagnostics) fired.set(filename, [...(fired.get(filename) ?? []), code]);
	}, 60_000);

	test.each(offences)("%s", (_what, path, _text, rule) => {
		expect(fired.get(path) ?? []).toContainEqual(expect.stringContaining(`(${rule})`));
	});

	test.each(Object.keys(clean))("nothing in clean %s", (path) => {
		expect(fired.get(path) ?? []).toEqual([]);
	});
});

describe("core's compiler knows nothing of", () => {
	const strangers = ["fetch", "crypto", "console", "setTimeout", "performance", "process", "Request", "caches"];
	let errors = "";

	beforeAll(() => {
		const files = strangers.map((name) => [`core/${name}.ts`, `export const it: unknown = ${name};\n`]);
		const types = ["KVNamespace", "D1Database"].map((name) => [`core/${name}.ts`, `export type It = ${name};\n`]);
		errors = run(
			"tsc",
			["-p", "core"],
			plant({ ...Object.fromEntries([...files, ...types]), "core/clean.ts": "export const it = Math.floor(1.5);\n" }),
		);
	}, 60_000);

	test.each([...strangers, "KVNamespace", "D1Database"])("%s", (name) => {
		expect(errors).toMatch(new RegExp(`core/${name}\\.ts.*error TS\\d+: Cannot find name '${name}'`));
	});

	test("and compiles what is pure", () => {
		expect(errors).not.toContain("clean.ts");
	});
});

test("every source file belongs to a tsconfig, without which the type-aware lint rules skip it", () => {
	const git = spawnSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "*.ts", "*.tsx", "*.mts", "*.mjs", "*.js"], {
		cwd: root,
		encoding: "utf8",
	});
	expect(git.status, git.stderr).toBe(0);
	const sources = git.stdout.split("\n").filter((path) => path !== "" && existsSync(join(root, path)));

	const included = new Set<string>();
	for (const project of ["core/tsconfig.json", "tsconfig.json", "tsconfig.node.json"]) {
		const { files = [] } = JSON.parse(run("tsc", ["-p", project, "--showConfig"], root)) as { files?: string[] };
		for (const file of files) included.add(relative(root, resolve(root, dirname(project), file)));
	}
	expect(sources).toContain("worker/index.ts");
	expect(sources.filter((path) => !included.has(path))).toEqual([]);
}, 60_000);

describe("the edge's bundle", () => {
	let gzipKib = Number.NaN;
	let inputs: string[] = [];

	beforeAll(async () => {
		const { outputFiles, metafile } = await build({
			absWorkingDir: root,
			entryPoints: ["worker/index.ts"],
			bundle: true,
			minify: true,
			format: "esm",
			target: "es2024",
			conditions: ["workerd", "worker", "browser"],
			mainFields: ["module", "main"],
			external: ["cloudflare:*", "node:*"],
			metafile: true,
			write: false,
			logLevel: "silent",
		});
		gzipKib = outputFiles.reduce((sum, file) => sum + gzipSync(file.contents).length, 0) / KIB;
		inputs = Object.keys(metafile.inputs);
	}, 30_000);

	test(`is at most ${edgeGzipKibMax} KiB gzipped`, () => {
		expect(gzipKib).toBeLessThanOrEqual(edgeGzipKibMax);
	});

	test("contains nothing of control, zod or drizzle", () => {
		expect(inputs).toContain("worker/index.ts");
		expect(inputs.filter((path) => /^control\/|node_modules\/(zod|drizzle-orm|@hono\/zod-openapi)\//.test(path))).toEqual([]);
	});
});
