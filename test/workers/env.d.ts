declare namespace Cloudflare {
	/** What the Workers' tests are given: vitest.config.ts. */
	interface Env {
		SNAPSHOTS: KVNamespace;
		DB: D1Database;
		DEV_CLOCK: string;
		/** Control only. */
		ADMIN_TOKEN: string;
		/** Edge only. */
		USER_HASH_KEY: string;
		/** Control only: how many pairs of ticks at once. */
		TEST_PAIRS: string;
		TEST_MIGRATIONS: import("@cloudflare/vitest-plugin").D1Migration[];
	}
	interface GlobalProps {
		mainModule: typeof import("../../worker/index") & typeof import("../../control/index");
	}
}

declare module "*?raw" {
	const text: string;
	export default text;
}
