import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-plugin";
import { build } from "esbuild";
import { type TestProjectConfiguration, defineConfig } from "vitest/config";
import { unstable_readConfig as readConfig } from "wrangler";
import { isInstalled } from "./scripts/installLocked.mjs";

const migrations = existsSync("migrations") ? await readD1Migrations("migrations") : [];
const controlBindings = { ADMIN_TOKEN: "test-admin-token", DEV_CLOCK: "1" };
/** `npm run test:pairs` asks for more than there is time for here. */
const pairs = process.env["TIDEGATE_PAIRS"] ?? "100";

let bundled: Promise<string> | undefined;

/** Vite transforms only the Worker under test, so the other one is bundled first: once, since a runtime that starts would read half a file otherwise. */
const controlBundle = (): Promise<string> => (bundled ??= bundleControl());

async function bundleControl(): Promise<string> {
	const outfile = ".tmp/vitest/control.mjs";
	await build({
		entryPoints: ["control/index.ts"],
		outfile,
		bundle: true,
		format: "esm",
		target: "es2024",
		conditions: ["workerd", "worker", "browser"],
		mainFields: ["module", "main"],
		external: ["cloudflare:*", "node:*"],
		logLevel: "error",
	});
	return outfile;
}

/** Analytics Engine's SQL on a real ClickHouse, which is too large for everybody to install. */
const clickhouse: TestProjectConfiguration = {
	test: {
		name: "clickhouse",
		include: ["test/clickhouse/**/*.test.ts"],
		environment: "node",
		// An engine is a process's own.
		pool: "forks",
		testTimeout: 30_000,
		hookTimeout: 60_000,
	},
};
const hasClickhouse = isInstalled("test/clickhouse");
if (!hasClickhouse) console.error("[test:clickhouse] skipped: not installed. npm run test:clickhouse installs and runs it.");

export default defineConfig({
	test: {
		// Most of what runs waits for a workerd beside it: on two cores one at a time would leave one of them idle.
		maxWorkers: Math.max(3, availableParallelism() - 1),
		projects: [
			...(hasClickhouse ? [clickhouse] : []),
			// Machines are slow when they are busy: a time limit finds what hangs, and measures nothing.
			{
				test: {
					name: "unit",
					include: ["test/unit/**/*.test.ts"],
					environment: "node",
					isolate: false,
					testTimeout: 60_000,
					hookTimeout: 60_000,
				},
			},
			{
				test: {
					name: "integration",
					include: ["test/integration/**/*.test.ts"],
					environment: "node",
					testTimeout: 60_000,
					hookTimeout: 60_000,
				},
			},
			{
				plugins: [
					cloudflareTest({
						wrangler: { configPath: "./control/wrangler.toml" },
						miniflare: { bindings: { ...controlBindings, TEST_MIGRATIONS: migrations, TEST_PAIRS: pairs } },
					}),
				],
				test: {
					name: "control",
					// Loading control takes longer than most files: setup.ts empties what a file leaves to the next.
					isolate: false,
					include: ["test/workers/control/**/*.test.ts"],
					setupFiles: ["test/workers/setup.ts"],
					testTimeout: 30_000,
				},
			},
			{
				plugins: [
					cloudflareTest(async () => ({
						wrangler: { configPath: "./wrangler.toml" },
						miniflare: {
							bindings: { USER_HASH_KEY: "test-hash-key", DEV_CLOCK: "1", TEST_MIGRATIONS: migrations },
							// Control's database, lent to the edge so that setup.ts can migrate it.
							d1Databases: { DB: "tidegate" },
							workers: [
								{
									name: "tidegate-control",
									modules: true,
									scriptPath: await controlBundle(),
									compatibilityDate: readConfig({ config: "control/wrangler.toml" }).compatibility_date ?? "",
									bindings: controlBindings,
									kvNamespaces: { SNAPSHOTS: "snapshots" },
									d1Databases: { DB: "tidegate" },
								},
							],
						},
					})),
				],
				test: { name: "edge", include: ["test/workers/edge/**/*.test.ts"], setupFiles: ["test/workers/setup.ts"], testTimeout: 30_000 },
			},
		],
	},
});
