#include "zoo/app/commands.h"

int main(int argc, char** argv) { return sono::zoo::app::run_program(argc, argv); }
