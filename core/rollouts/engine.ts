/** The actor of what the engine does by itself. */
export const ENGINE = "tidegate";
