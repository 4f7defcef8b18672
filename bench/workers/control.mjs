import { WorkerEntrypoint } from "cloudflare:workers";

/** Instead of the binding's, once there is a newer one. */
let newer;

/** Stands in for control: the edge gets the same head each time, after as long as a far database takes. */
export class Head extends WorkerEntrypoint {
	async head() {
		await scheduler.wait(20);
		return newer ?? this.env.HEAD;
	}

	async body() {
		return null;
	}
}

/** What it was told, as numbers. */
const told = { points: 0, lost: 0 };

/** Stores nothing, and takes as long as a far database. */
export class Telemetry extends WorkerEntrypoint {
	async record(_environment, points) {
		for (const { metric, value } of points) {
			if (metric === "lost") told.lost += value;
			else told.points++;
		}
		await scheduler.wait(50);
	}
}

/** So do answers of two origins. */
export class Comparisons extends WorkerEntrypoint {
	async record() {
		await scheduler.wait(50);
	}
}

export default {
	async fetch(request) {
		if (request.method === "PUT") newer = await request.json();
		return Response.json(told);
	},
};
