import { WorkerEntrypoint } from "cloudflare:workers";

/** Stands in for control: the edge gets the same head each time, after as long as a far database takes. */
export class Head extends WorkerEntrypoint {
	async head() {
		await scheduler.wait(20);
		return this.env.HEAD;
	}

	async body() {
		return null;
	}
}

/** Stores nothing, and takes as long as a far database. */
export class Telemetry extends WorkerEntrypoint {
	async record() {
		await scheduler.wait(50);
	}
}

export default { fetch: () => new Response("control") };
