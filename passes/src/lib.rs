//! Passes that keep the level: graph to graph, loops to loops.
