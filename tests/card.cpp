// What torch asks of CUDA in C++ before Python comes in, answered on a machine without it.
//
// There is one card; nothing has to be waited for; a driver was built in. Tensors on the card are Python's (card.py), so no
// kernel is ever launched. `pretend(0)` takes it all back.
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/impl/FakeGuardImpl.h>

#include <new>

using Guard = c10::impl::FakeGuardImpl<c10::DeviceType::CUDA>;  // what torch tests its own device guards with

struct Hooks final : at::CUDAHooksInterface {
  bool isBuilt() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return false; }
};

// The hooks are made once, at import, and have no members: the other kind fits in their place.
static_assert(sizeof(Hooks) == sizeof(at::CUDAHooksInterface));

extern "C" void pretend(int on) {
  static Guard guard;
  auto* hooks = const_cast<at::CUDAHooksInterface*>(&at::detail::getCUDAHooks());
  if (on)
    new (hooks) Hooks();
  else
    new (hooks) at::CUDAHooksInterface();
  c10::impl::device_guard_impl_registry[static_cast<size_t>(c10::DeviceType::CUDA)].store(on ? &guard : nullptr);
}
