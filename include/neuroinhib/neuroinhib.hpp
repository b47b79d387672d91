#pragma once

/// The front door for the CPU: all of any_backend.hpp on Cpu<T>.

#include <neuroinhib/any_backend.hpp>
#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/ops/cpu.hpp>
