/// A shared object that is no plugin.

extern "C" int muster_something_else() { return 1; }
