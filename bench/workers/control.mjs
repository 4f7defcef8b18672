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

export class Telemetry extends WorkerEntrypoint {
	async record() {}
}

export default { fetch: () => new Response("control") };
