import { fork } from "node:child_process";
import { once } from "node:events";

/** An origin in another process. */
export async function startOrigin(name) {
	const child = fork("bench/gateway/origin.mjs", [name]);
	const [{ port }] = await once(child, "message");
	let last = 0;
	const tell = (what) =>
		new Promise((done) => {
			const id = ++last;
			const hear = (said) => {
				if (said.id !== id) return;
				child.off("message", hear);
				done(said);
			};
			child.on("message", hear);
			child.send({ ...what, id });
		});
	return {
		name,
		url: `http://127.0.0.1:${port}`,
		/** Which requests fail from now on: "never", "always", "every second", or a share of them. */
		fail: (fail) => tell({ fail }),
		/** Its open sockets, requests under way, all requests so far, and those since the first that failed, this one included. */
		state: () => tell({}),
		stop: () => child.kill(),
	};
}
