import { Worker } from "node:worker_threads";

const WORKERS = 2;
/** Repetitions at a time: small enough that the workers end together. */
const CHUNK = 20;

/** Runs every cell's repetitions and adds what they return to the cell, as `results`: in order, so that it matters not who ran them. */
export async function runAll(cells, judge, progress) {
	const tasks = cells.flatMap((cell) =>
		Array.from({ length: Math.ceil(cell.repetitions / CHUNK) }, (_, i) => ({
			cell,
			from: i * CHUNK,
			to: Math.min(cell.repetitions, (i + 1) * CHUNK),
		})),
	);
	for (const cell of cells) cell.results = [];
	let next = 0;
	let left = tasks.length;
	const work = async () => {
		const worker = new Worker(new URL("worker.mjs", import.meta.url), { workerData: judge });
		for (let task = tasks[next++]; task; task = tasks[next++]) {
			const { cell, from, to } = task;
			// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
			worker.postMessage({ kind: cell.kind, cell: { ...cell, results: undefined }, from, to });
			// oxlint-disable-next-line no-await-in-loop -- one task at a time and worker
			const results = await answer(worker);
			for (const [i, result] of results.entries()) cell.results[from + i] = result;
			if (--left % Math.ceil(tasks.length / 20) === 0)
				progress(`${Math.round((1 - left / tasks.length) * 100)} % of the repetitions of ${cells.length} cases`);
		}
		await worker.terminate();
	};
	await Promise.all(Array.from({ length: WORKERS }, work));
}

function answer(worker) {
	return new Promise((done, fail) => {
		const told = (results) => {
			worker.off("error", fail);
			done(results);
		};
		worker.once("message", told);
		worker.once("error", fail);
	});
}
