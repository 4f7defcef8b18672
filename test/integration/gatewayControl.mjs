import { WorkerEntrypoint } from "cloudflare:workers";

/** Stands in for control: one head, and it remembers what it was told. */
const told = { points: [], compared: [] };

export class Head extends WorkerEntrypoint {
	async head() {
		return this.env.HEAD;
	}

	async body() {
		return null;
	}
}

export class Telemetry extends WorkerEntrypoint {
	async record(_environment, points) {
		told.points.push(...points);
	}
}

export class Comparisons extends WorkerEntrypoint {
	async record(_environment, compared) {
		told.compared.push(...compared);
	}
}

export default { fetch: () => Response.json(told) };
